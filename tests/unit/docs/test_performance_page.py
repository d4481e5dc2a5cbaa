"""docs/performance.md has the figures of the bench, with their goals."""

from bench.catalogue import GROUPS
from tests.support.pages import section, table


def test_figure_table_equals_the_catalogue() -> None:
    """Every figure is listed with its goal, and is said to be missed where its value misses it."""
    goals = {name: goal for group in GROUPS for name, goal in group.goals.items()}
    rows = table(section("docs/performance.md", "Figures"))

    assert {row[0].strip("`"): row[1] for row in rows} == {
        name: str(goal or "") for name, goal in goals.items()
    }
    for name, _, value, *_ in rows:
        goal = goals[name.strip("`")]
        missed = goal is not None and not goal.met_by(float(value.partition(" ")[0]))
        assert value.endswith("(missed)") == missed, name
