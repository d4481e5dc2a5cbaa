"""Inputs that fuzzing found once, sent to running programs again."""

from pathlib import Path

import pytest

from tests.fuzz.run import fuzz, replay
from tests.support.apache_kafka import why_unavailable
from tests.support.paths import ROOT
from tests.support.requirements import no_apache_kafka

REGRESSIONS = ROOT / "tests/fuzz/regressions"


@pytest.fixture(autouse=True)
def java() -> None:
    """The fuzzer starts an Apache Kafka of its own."""
    if reason := why_unavailable():
        no_apache_kafka(reason)


async def test_inputs_that_were_found_do_no_harm_any_more(tmp_path: Path) -> None:
    """No program ends, stands still or logs a traceback, and another client's job completes."""
    assert list(REGRESSIONS.glob("*.json"))
    assert await replay(tmp_path, REGRESSIONS) == []


async def test_fuzzer_reports_what_a_harmful_input_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that sees nothing would find nothing: here each poll takes too long for it."""
    monkeypatch.setattr("tests.fuzz.watch.STALL_S", -1.0)
    (found, *_) = await fuzz(tmp_path, 1, 1, ["frames"])

    assert (found.door, found.seed) == ("frames", 1)
    assert "stood still" in found.what
