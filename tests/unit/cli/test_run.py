"""How signals end the work of a command."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from fabric_jobs.cli.errors import CommandError
from fabric_jobs.cli.run import cancel_on_signal


async def test_work_without_a_signal_returns_its_result() -> None:
    """The result of the work is returned unchanged."""
    assert await cancel_on_signal(asyncio.sleep(0, "done")) == "done"


@pytest.fixture
def terminal() -> Iterator[None]:
    """A terminal that can be closed, even if the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_cancels_the_work_and_awaits_its_clean_up(number: signal.Signals) -> None:
    """Ctrl-C, an orchestrator's stop and a closed terminal are no errors."""
    cleaned = False

    async def work() -> str:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True
        return "never"

    assert await cancel_on_signal(work()) is None
    assert cleaned


async def test_second_signal_cancels_the_clean_up() -> None:
    """A clean-up that would take forever ends."""

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        await cancel_on_signal(work())


async def test_signal_handlers_are_restored_after_the_work() -> None:
    """The handler before is the handler afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    await cancel_on_signal(asyncio.sleep(0))

    assert signal.getsignal(signal.SIGTERM) is before


async def test_error_of_the_work_is_raised() -> None:
    """Only a signal makes the result None."""

    async def work() -> None:
        raise CommandError("no")

    with pytest.raises(CommandError, match="no"):
        await cancel_on_signal(work())
