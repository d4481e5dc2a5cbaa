"""Reloading changed code: errors. `tests/acceptance/test_new_project.py` has the rest."""

from pathlib import Path

import pytest

from fabric_jobs.cli.dev.reload import run_reloading
from fabric_jobs.cli.dev.stack import Stack
from fabric_jobs.cli.errors import CommandError


async def test_reloading_in_a_folder_that_can_t_be_watched_raises_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the error, changed code would never run."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    async with Stack({}) as stack:
        with pytest.raises(CommandError, match=r"can't be watched: .*WATCHFILES_FORCE_POLLING"):
            await run_reloading(stack, "my_jobs:executor", lambda executor: None)
