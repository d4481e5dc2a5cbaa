"""The report of a run, with and without a breach."""

import msgspec
import pytest

from tests.chaos.availability import Window
from tests.chaos.report import Report, summary
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
    assert figures["faults"] == {"facade-killed": 1}
    assert (figures["runs"], figures["superseded_runs"]) == (2, 1)
    assert summary(figures).splitlines()[-1] == "HELD"


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
