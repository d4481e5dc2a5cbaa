"""`.venv-bench/bin/python -m bench.plots JSON FOLDER`: plots of the JSON of `make bench`."""

import json
import sys
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot


def load_latency(points: list[list[float]], path: Path) -> None:
    """Plot load against latency."""
    per_s, p50_ms, p99_ms = zip(*points, strict=True)
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(per_s, p99_ms, "o-", label="p99")
    axes.plot(per_s, p50_ms, "o-", label="p50")
    axes.set(xlabel="creates a second, each run to its end", ylabel="ms from POST to handler")
    axes.set_yscale("log")
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def stored_cost(measured: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Plot the cost with many stored jobs, relative to the cost with few."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, unit in (
        ("million_jobs_mb", "mb"),
        ("restart_growth", "s"),
        ("accept_at_million", "per_s"),
    ):
        few, many = (median(measured[name][f"{side}_{unit}"]) for side in ("few", "many"))
        ratio = many / few
        axes.barh(name, ratio)
        axes.text(ratio, name, f" {ratio:.2f}", va="center")
    axes.axvline(1, color="grey")
    axes.set(xlabel="with many jobs stored ÷ with 1,000")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def bootstrap(points: list[list[float]], path: Path) -> None:
    """Plot the time until a new replica is ready against its number of jobs."""
    jobs, replay_s, ready_s, copy_s = zip(*sorted(points), strict=True)
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(jobs, replay_s, "o-", label="ready, after a replay of the topic")
    axes.plot(jobs, ready_s, "o-", label="ready, with the file of another replica")
    axes.plot(jobs, copy_s, "o-", label="a plain copy of the same file over loopback")
    axes.set(xlabel="jobs", ylabel="seconds", xscale="log", yscale="log")
    # The legend is above the lines.
    axes.set_ylim(top=10 * max(replay_s))
    axes.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def many_jobs(measured: dict[str, dict[str, list[float]]]) -> list[float]:
    """The point of the figures about many jobs, whose number of jobs is in the measurements."""
    copied, replayed = measured["bootstrap_vs_copy"], measured["bootstrap_vs_replay"]
    return [
        median(values)
        for values in (
            replayed["jobs"],
            replayed["replay_s"],
            replayed["ready_s"],
            copied["copy_s"],
        )
    ]


if __name__ == "__main__":
    said, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    if points := said.get("load_latency"):
        load_latency(points, folder / "performance-load.svg")
    measured = {one["name"]: one["measured"] for one in said["figures"] if one.get("measured")}
    if points := said.get("bootstrap_by_jobs"):
        if "bootstrap_vs_copy" in measured:
            points.append(many_jobs(measured))
        bootstrap(points, folder / "performance-bootstrap.svg")
    if "million_jobs_mb" in measured:
        stored_cost(measured, folder / "performance-stored.svg")
