"""`python -m facade`: one replica, set by the environment; `check` tries what it needs."""

import asyncio
import os
import signal
import sys

import uvloop

from fabric_jobs import telemetry
from fabric_jobs.garbage import collect_seldom
from fabric_jobs.kafka import KafkaRefusedError
from fabric_jobs.logs import configure
from fabric_jobs.settings import SettingsError, from_env
from facade.auth import AuthorityError
from facade.check import report
from facade.log import LogError
from facade.replica import StateInUseError
from facade.service import serve
from facade.settings import FacadeSettings

EXPECTED = (
    SettingsError,
    AuthorityError,
    KafkaRefusedError,
    LogError,
    StateInUseError,
    OSError,
    RuntimeError,
)


USAGE = "usage: python -m facade [check [--create]]"


def main() -> int:
    """The command: its exit code."""
    match sys.argv[1:]:
        case []:
            return run()
        case ["check", *options] if set(options) <= {"--create"}:
            return report(os.environ, create=bool(options))
    print(USAGE, file=sys.stderr)
    return 2


def run() -> int:
    """Runs until SIGTERM or SIGINT; a second one ends it at once."""
    try:
        settings = from_env(FacadeSettings, os.environ)
        configure(settings.log_format)
        collect_seldom()
        with (
            telemetry.running("fabric-jobs-facade", os.environ, scraped=True),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_until_stopped(settings))
    except Exception as error:
        for fault in _faults(error):
            if not isinstance(fault, EXPECTED):
                raise
            print(f"facade: {fault}", file=sys.stderr)
        return 1
    return 0


def _faults(error: BaseException) -> list[BaseException]:
    """What a group of tasks raised, one by one."""
    if isinstance(error, BaseExceptionGroup):
        return [fault for inner in error.exceptions for fault in _faults(inner)]
    return [error]


async def _until_stopped(settings: FacadeSettings) -> None:
    serving = asyncio.create_task(serve(settings), name="serve")
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


if __name__ == "__main__":
    sys.exit(main())
