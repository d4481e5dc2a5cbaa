"""The arithmetic of the bench."""

import json

import pytest

from bench.report import Goal, Series, as_json, as_row, as_table, figure, percentile, skipped

LEAST = Goal(0.7, at_least=True)
MOST = Goal(3, at_least=False)


def series(*rounds: float) -> Series:
    """Rounds that were measured."""
    made = Series()
    for number, value in enumerate(rounds):
        made.add(value, ours_per_s=float(number))
    return made


def test_figure_is_the_median_of_its_rounds_with_lowest_and_highest() -> None:
    """One disturbed round changes the spread and not the value."""
    made = figure("accept_vs_bare", LEAST, series(0.9, 0.1, 0.8))

    assert (made.value, made.spread, made.met) == (0.8, (0.1, 0.9), True)


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [(LEAST, 0.7, True), (LEAST, 0.69, False), (MOST, 3, True), (MOST, 3.01, False)],
)
def test_goal_is_met_at_its_own_value(goal: Goal, value: float, met: bool) -> None:
    """For "at least" more is better; for "at most" less is better."""
    assert figure("one", goal, series(value)).met is met


def test_figures_of_two_series_share_no_lists() -> None:
    """Values measured for one series are not in another."""
    assert series(1).measured == series(1).measured == {"ours_per_s": [0.0]}


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_percentile_is_a_measured_value(percent: float, value: float) -> None:
    """It is the nearest rank, whatever the order of the values."""
    assert percentile([float(one) for one in range(100, 0, -1)], percent) == value


def test_json_has_each_figure_and_the_reason_of_a_missing_one() -> None:
    """A figure that was not measured is not 0."""
    made = [
        figure("a", LEAST, series(1.0)),
        skipped("b", MOST, "no wrk"),
        figure("c", None, series(2)),
    ]
    said = json.loads(as_json(made, {"cores": "2"}, {"load_latency": [(1.0, 2.0)]}))

    assert [(one["name"], one["value"], one["goal"]) for one in said["figures"]] == [
        ("a", 1.0, "≥ 0.7"),
        ("b", None, "≤ 3"),
        ("c", 2.0, None),
    ]
    assert said["figures"][1]["skipped"] == "no wrk"
    assert said["ground"] == {"cores": "2"}
    assert said["load_latency"] == [[1.0, 2.0]]


def test_row_has_large_numbers_with_all_their_digits() -> None:
    """A rate of some thousands is not in scientific notation, and a ratio has four digits."""
    made = Series()
    made.add(0.81234, polls_per_s=11_812.4, p99_ms=7.05213)

    assert as_row(figure("a", LEAST, made)) == (
        "| `a` | ≥ 0.7 | 0.8123 | 0.812 to 0.812 | polls_per_s 11,812, p99_ms 7.052 |"
    )


def test_value_just_beside_its_goal_does_not_look_like_the_goal() -> None:
    """A median of 0.15047 misses a goal of 0.15."""
    assert " | 0.1505 (missed) | " in as_row(
        figure("a", Goal(0.15, at_least=False), series(0.15047))
    )


def test_table_marks_the_goals_that_were_missed() -> None:
    """A missed goal and a met goal look different."""
    lines = as_table(
        [figure("a", LEAST, series(0.5)), figure("b", LEAST, series(0.8))]
    ).splitlines()

    assert ["missed" in line for line in lines[2:]] == [True, False]
