"""Figures: the ratios of each figure's rounds, with their median and spread."""

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median

import msgspec
from msgspec import Struct


class Goal(Struct, frozen=True):
    """The value that a figure should reach."""

    value: float
    #: Whether more is better, so that the value is a minimum.
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"

    def met_by(self, value: float) -> bool:
        """Whether the value meets the goal."""
        return value >= self.value if self.at_least else value <= self.value


class Figure(Struct, frozen=True, kw_only=True):
    """One line of the table."""

    name: str
    #: None for a figure that is only a comparison.
    goal: str | None
    #: The median of the rounds, or None where the figure was not measured.
    value: float | None = None
    met: bool | None = None
    #: The lowest and the highest round.
    spread: tuple[float, float] | None = None
    rounds: tuple[float, ...] = ()
    #: The measured values behind the ratios: a list of the rounds for each name.
    measured: dict[str, list[float]] = {}
    #: Why the figure was not measured, and how to change that.
    skipped: str | None = None


class Series(Struct):
    """The measurements of one figure; each round has one result, which is mostly a ratio."""

    rounds: list[float] = []
    measured: dict[str, list[float]] = {}

    def add(self, value: float, **measured: float) -> None:
        """Add a round."""
        self.rounds.append(value)
        for name, number in measured.items():
            self.measured.setdefault(name, []).append(number)


def figure(name: str, goal: Goal | None, series: Series) -> Figure:
    """The figure of the rounds."""
    value = median(series.rounds)
    return Figure(
        name=name,
        goal=str(goal) if goal else None,
        value=value,
        met=goal.met_by(value) if goal else None,
        spread=(min(series.rounds), max(series.rounds)),
        rounds=tuple(series.rounds),
        measured=series.measured,
    )


def skipped(name: str, goal: Goal | None, reason: str) -> Figure:
    """The figure that was not measured, with the reason."""
    return Figure(name=name, goal=str(goal) if goal else None, skipped=reason)


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile of the values, by nearest rank."""
    ordered = sorted(values)
    rank = max(ceil(percent / 100 * len(ordered)), 1)
    return ordered[rank - 1]


def as_json(
    figures: Sequence[Figure],
    ground: Mapping[str, str],
    points: Mapping[str, Sequence[tuple[float, ...]]] | None = None,
) -> str:
    """The figures, the machine, and the points of each plot that were measured, as JSON."""
    text = msgspec.json.encode({"figures": figures, "ground": ground, **(points or {})})
    return msgspec.json.format(text, indent=2).decode()


def as_row(figure: Figure) -> str:
    """The figure as a row of a Markdown table."""
    begin = f"| `{figure.name}` | {figure.goal or ''} |"
    if figure.value is None or figure.spread is None:
        return f"{begin} not measured | | {figure.skipped} |"
    verdict = " (missed)" if figure.met is False else ""
    spread = f"{figure.spread[0]:.3g} to {figure.spread[1]:.3g}"
    parts = ", ".join(f"{name} {_number(median(m))}" for name, m in figure.measured.items())
    # Four digits, so that a value just beside its goal does not look like the goal.
    return f"{begin} {figure.value:.4g}{verdict} | {spread} | {parts} |"


def as_table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    head = "| figure | goal | value | lowest to highest | measured (medians) |"
    return "\n".join([head, "|---|---|---|---|---|", *map(as_row, figures)])


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
