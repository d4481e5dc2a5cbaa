"""Writing the figures of runs into a page."""

import msgspec
import pytest

from bench.page import BEGIN, END, Run, write_rows
from bench.report import Goal, Series, as_json, as_row, figure, skipped

GOAL = Goal(0.8, at_least=True)
PAGE = f"""# Performance

| figure | goal |
|---|---|
| `a` | ≥ 0.8 | 0.1 |
| `b` |  | 2 |

{BEGIN}- an older description
{END}
About `a`.
"""


def series(value: float) -> Series:
    """One round."""
    made = Series()
    made.add(value)
    return made


A = figure("a", GOAL, series(0.9))


def test_rows_of_measured_figures_are_replaced_and_other_text_stays() -> None:
    """The run is described, and the rows that it did not measure are named."""
    page = write_rows(PAGE, [Run([A, skipped("b", None, "no wrk")], {"cores": "2", "kafka": "4"})])

    assert page == PAGE.replace("| `a` | ≥ 0.8 | 0.1 |", as_row(A)).replace(
        "- an older description", "- cores: 2; kafka: 4.\n- Rows of earlier runs: `b`."
    )


def test_rows_of_several_runs_are_written_once() -> None:
    """Each run has its own description, and writing the same runs again changes nothing."""
    runs = [Run([A], {"run": "one"}), Run([figure("b", None, series(3))], {"run": "two"})]
    page = write_rows(PAGE, runs)

    assert "- run: one.\n- run: two.\n" + END in page
    assert write_rows(page, runs) == page


def test_output_of_the_bench_is_read() -> None:
    """The points of the plots are ignored."""
    text = as_json([A], {"cores": "2"}, {"load_latency": [(1.0, 2.0, 3.0)]})

    assert msgspec.json.decode(text, type=Run) == Run([A], {"cores": "2"})


def test_figure_without_a_row_is_refused() -> None:
    """A new figure needs a row in the page, because its place there is a person's choice."""
    with pytest.raises(ValueError, match="no row for c"):
        write_rows(PAGE, [Run([figure("c", None, series(1))], {})])


def test_page_without_a_block_for_the_runs_is_refused() -> None:
    """Rows without a description of their run would say nothing."""
    with pytest.raises(ValueError, match="has no <!-- runs -->"):
        write_rows(PAGE.replace(BEGIN, ""), [Run([A], {})])
