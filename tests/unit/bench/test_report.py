"""The arithmetic of the bench."""

import json

import pytest

from bench.report import Goal, Series, as_json, as_table, figure, percentile, skipped

LEAST = Goal(0.7, at_least=True)
MOST = Goal(3, at_least=False)


def series(*rounds: float) -> Series:
    """Rounds that were measured."""
    made = Series()
    for number, value in enumerate(rounds):
        made.add(value, ours_per_s=float(number))
    return made


def test_a_figure_is_the_median_of_its_rounds_with_the_lowest_and_the_highest() -> None:
    """One round that was disturbed moves the spread, and not the value."""
    made = figure("accept_vs_bare", LEAST, series(0.9, 0.1, 0.8))

    assert (made.value, made.spread, made.met) == (0.8, (0.1, 0.9), True)


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [(LEAST, 0.7, True), (LEAST, 0.69, False), (MOST, 3, True), (MOST, 3.01, False)],
)
def test_a_goal_is_met_from_its_own_value_on(goal: Goal, value: float, met: bool) -> None:
    """At least means that more is better, at most that less is."""
    assert figure("one", goal, series(value)).met is met


def test_figures_that_share_a_name_s_rounds_share_no_lists() -> None:
    """What one series measured is not in another."""
    assert series(1).measured == series(1).measured == {"ours_per_s": [0.0]}


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_a_value_that_was_seen(percent: float, value: float) -> None:
    """By nearest rank, whatever the order of the values."""
    assert percentile([float(one) for one in range(100, 0, -1)], percent) == value


def test_the_json_says_each_figure_and_why_one_is_missing() -> None:
    """A figure that was not measured is no figure of 0."""
    made = [
        figure("a", LEAST, series(1.0)),
        skipped("b", MOST, "no wrk"),
        figure("c", None, series(2)),
    ]
    said = json.loads(as_json(made, {"cores": "2"}))

    assert [(one["name"], one["value"], one["goal"]) for one in said["figures"]] == [
        ("a", 1.0, "≥ 0.7"),
        ("b", None, "≤ 3"),
        ("c", 2.0, None),
    ]
    assert said["figures"][1]["skipped"] == "no wrk"
    assert said["ground"] == {"cores": "2"}


def test_the_table_says_which_goals_were_missed() -> None:
    """A goal that is missed can't be taken for one that is met."""
    lines = as_table(
        [figure("a", LEAST, series(0.5)), figure("b", LEAST, series(0.8))]
    ).splitlines()

    assert ["missed" in line for line in lines[2:]] == [True, False]
