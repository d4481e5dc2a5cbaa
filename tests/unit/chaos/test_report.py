"""The report of a run, with and without a breach."""

import msgspec
import pytest

from tests.chaos.availability import Window
from tests.chaos.report import Report, summary
from tests.chaos.table import markdown
from tests.chaos.validate import validate
from tests.support.chaos_story import Story, operation

OTHERS: dict[str, list[str]] = {"replica_differences": [], "not_recovered": []}


def report(story: Story) -> Report:
    """The report of a run that had one fault."""
    evidence = story.evidence()
    windows = [Window("facade-killed", "facade-killed", False, injected=2, undone=3, healthy=4)]
    return Report(7, 60, evidence, windows, validate(evidence) | OTHERS)


def test_report_of_a_run_without_breach_says_that_it_held() -> None:
    """It has counts of everything, and the verdict in the summary's last line."""
    found = report(Story())
    figures = msgspec.json.decode(msgspec.json.encode(found.figures()))

    assert found.held
    assert (figures["seed"], figures["accepted"], figures["lost_races"]) == (7, 1, 1)
    assert figures["faults"]["facade-killed"]["times"] == 1
    assert (figures["runs"], figures["superseded_runs"]) == (2, 1)
    assert summary(figures).splitlines()[-1] == "HELD"


@pytest.mark.parametrize(("took_s", "verdict"), [(1, "met (1)"), (3, "missed (3)")])
def test_report_says_of_each_goal_whether_it_was_met(took_s: float, verdict: str) -> None:
    """A missed goal is a figure and no breach. It is in the JSON, the summary and the table."""
    evidence = Story().evidence()
    window = Window("facade-killed", "facade-killed", False, 20, undone=20, healthy=20 + took_s)
    found = Report(7, 60, evidence, [window], validate(evidence) | OTHERS)
    figures = msgspec.json.decode(msgspec.json.encode(found.figures()))
    goal = figures["faults"]["facade-killed"]["goal"]

    assert found.held
    assert (goal["worst"], goal["at_most"], goal["met"]) == (took_s, 1.0, took_s <= 1)
    assert verdict in summary(figures).splitlines()[1]
    assert markdown(figures).splitlines()[-1].endswith(f" {verdict} |")


def test_goal_of_a_stepped_clock_is_that_no_job_ends_wrongly() -> None:
    """Its figure is the number of jobs of the run with a wrong end."""
    evidence = Story().evidence()
    window = Window("clock-stepped", "clock-stepped", False, 20, undone=28, healthy=29)
    breaches = validate(evidence) | OTHERS | {"wrong_ends": ["a job"]}
    figures = Report(7, 60, evidence, [window], breaches).figures()

    assert figures["faults"]["clock-stepped"]["goal"]["worst"] == 1
    assert not figures["faults"]["clock-stepped"]["goal"]["met"]


@pytest.mark.parametrize("name", ["wrong_answers", "replica_differences"])
def test_report_of_a_run_with_a_breach_says_that_it_broke(name: str) -> None:
    """It has the number of breaches and an example."""
    story = Story()
    if name == "wrong_answers":
        story.operations.append(operation("create", 30, code=409))
        found = report(story)
    else:
        evidence = story.evidence()
        found = Report(7, 60, evidence, [], validate(evidence) | {name: ["a row"]})
    figures = found.figures()

    assert not found.held
    assert figures[name] == len(figures["breaches"][name]) == 1
    assert summary({"replica_differences": 0} | figures).splitlines()[-1] == "BROKEN"
