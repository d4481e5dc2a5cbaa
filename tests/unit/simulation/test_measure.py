"""The measurement of the suites: what counts as found, and what ends the measurement."""

import json
import sys
from collections.abc import Sequence
from contextvars import copy_context
from pathlib import Path
from types import ModuleType

import pytest

from fabric_jobs.facade.maintenance.leases import Leases
from tests.chaos.cluster import program_command
from tests.simulation import bug_program, measure, measure_chaos
from tests.simulation.__main__ import main
from tests.simulation.finding import ENDLESS, Finding, MeasureError
from tests.simulation.loop import PLACE

BUG = "a heartbeat renews no lease"
FIRST, SECOND = "tests/unit/test_first.py", "tests/unit/test_second.py"


@pytest.mark.parametrize(
    ("name", "found"),
    [("a backoff never ends", "`test_deadlines.py`"), ("offers are not made", "")],
)
def test_run_tests_names_the_file_that_finds_a_known_bug(name: str, found: str) -> None:
    """The tests run in a process of their own, with the bug in the product."""
    path = "tests/unit/facade/lifecycle/test_deadlines.py"

    assert measure.run_tests(name, [path]).found == found


@pytest.mark.parametrize(
    "of_first",
    [
        pytest.param({BUG: FIRST, "": FIRST}, id="fails without the bug too"),
        pytest.param({BUG: "", "": ""}, id="passes with the bug when it runs alone"),
    ],
)
@pytest.mark.parametrize("finds", [True, False])
def test_run_tests_of_a_file_that_fails_for_another_reason_go_on_without_it(
    monkeypatch: pytest.MonkeyPatch, of_first: dict[str, str], finds: bool
) -> None:
    """The next file that fails because of the bug is the finding."""

    def run_pytest(name: str, arguments: Sequence[str]) -> tuple[str, float]:
        second = SECOND if finds and name else ""
        if list(arguments) == [FIRST]:
            return of_first[name], 100.0
        if list(arguments) == [SECOND]:
            return second, 100.0
        return (second if f"--deselect={FIRST}" in arguments else FIRST), 2.0

    monkeypatch.setattr(measure, "_run_pytest", run_pytest)
    finding = measure.run_tests(BUG, ["tests/unit"])

    assert finding == Finding("`test_second.py`" if finds else "", 4.0, (FIRST,))
    assert str(finding) == (
        "`test_second.py`, 4 s" if finds else "no (unstable: `test_first.py`), 4 s"
    )


@pytest.mark.parametrize("ends_without", [True, False])
def test_run_tests_that_do_not_end_count_only_if_they_end_without_the_bug(
    monkeypatch: pytest.MonkeyPatch, ends_without: bool
) -> None:
    """Tests that never end give no other file to go on with."""
    monkeypatch.setattr(
        measure, "_run_pytest", lambda name, _: ("" if ends_without and not name else ENDLESS, 2.0)
    )
    if ends_without:
        assert measure.run_tests(BUG, [FIRST]) == Finding(ENDLESS, 2.0)
    else:
        with pytest.raises(MeasureError, match=f"without the bug '{BUG}', {ENDLESS}"):
            measure.run_tests(BUG, [FIRST])


def test_worlds_that_end_with_an_error_of_the_harness_end_the_measurement() -> None:
    """Such an error is no finding; the process of the worlds prints its traceback."""
    with pytest.raises(MeasureError, match="seed 1 with the bug 'no such bug' ended with 1"):
        measure.RUNS["simulation"]("no such bug", 1)


def test_known_bugs_that_could_not_be_measured_end_the_command_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 is that of a bug that no suite finds."""

    def fail(name: str, seed: int) -> Finding:
        raise MeasureError(f"the harness failed with {name!r}")

    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setitem(measure.RUNS, "model", fail)

    assert main(["--known-bugs", BUG, "--suite", "model"]) == 2
    assert f"the harness failed with '{BUG}'" in capsys.readouterr().err


@pytest.mark.parametrize(("found", "is_found"), [("`test_fold.py`", True), ("", False)])
def test_row_without_a_suite_that_finds_the_bug_is_not_found(found: str, is_found: bool) -> None:
    """Such a bug makes the command fail."""
    row = measure.Row("a bug", [None, Finding(found, 2.0), Finding("", 9.0)])

    assert row.is_found is is_found
    assert str(row) == f"| a bug | not run | {found or 'no'}, 2 s | no, 9 s |"


@pytest.mark.parametrize(
    ("verdict", "breaches", "found"),
    [
        ("held", {}, ""),
        ("broken", {"ungranted": ["a job"], "lost": ["a job"]}, "`lost`, `ungranted`"),
    ],
)
def test_run_chaos_names_the_kinds_of_breaches_of_the_report(
    monkeypatch: pytest.MonkeyPatch, verdict: str, breaches: dict[str, list[str]], found: str
) -> None:
    """The chaos suite itself judges."""

    def run(command: list[str], environment: dict[str, str]) -> tuple[bool, str]:
        assert command[command.index("--known-bug") + 1] == BUG
        report = Path(command[command.index("--json") + 1])
        report.write_text(json.dumps({"verdict": verdict, "breaches": breaches}))
        return True, ""

    monkeypatch.setattr(measure_chaos, "_run_within_limit", run)

    assert measure_chaos.run_chaos(BUG, 7).found == found


@pytest.mark.parametrize(
    ("source", "limit_s", "found"),
    [
        pytest.param("print('no broker'); raise SystemExit(2)", 60, None, id="proves nothing"),
        pytest.param("import time; time.sleep(600)", 0.1, ENDLESS, id="does not end"),
    ],
)
def test_run_chaos_without_a_report_is_an_error_unless_the_run_does_not_end(
    monkeypatch: pytest.MonkeyPatch, source: str, limit_s: float, found: str | None
) -> None:
    """A bug may keep a program from becoming ready, for which the chaos suite waits."""
    run = measure_chaos._run_within_limit
    monkeypatch.setattr(
        measure_chaos,
        "_run_within_limit",
        lambda command, environment: run([sys.executable, "-c", source], environment),
    )
    monkeypatch.setattr(measure_chaos, "LIMIT_S", limit_s)
    if found:
        assert measure_chaos.run_chaos(BUG, 7).found == found
    else:
        with pytest.raises(MeasureError, match=f"the bug '{BUG}' proved nothing:\nno broker"):
            measure_chaos.run_chaos(BUG, 7)


def test_bug_program_runs_the_program_with_the_bug_and_under_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program sees its own arguments."""
    program = ModuleType("a_program.__main__")
    renew = Leases.renew

    def run() -> int:
        place = PLACE.get()
        assert place
        assert place.name == "facade-1"
        assert sys.argv == ["a_program", "an argument"]
        assert Leases.renew is not renew
        return 3

    monkeypatch.setattr(program, "main", run, raising=False)
    monkeypatch.setitem(sys.modules, "a_program.__main__", program)
    monkeypatch.setattr(sys, "argv", ["bug_program", BUG, "facade-1", "a_program", "an argument"])

    assert copy_context().run(bug_program.main) == 3
    assert Leases.renew is renew


def test_program_command_with_a_known_bug_runs_the_bug_program() -> None:
    """Otherwise no run of the chaos suite could find a bug."""
    program = ("fabric_jobs.executor", "my_jobs:executor")

    assert program_command(BUG, "executor-0", *program)[1:] == (
        *("-m", bug_program.__name__, BUG, "executor-0"),
        *program,
    )
    assert program_command("", "executor-0", *program)[1:] == ("-m", *program)
