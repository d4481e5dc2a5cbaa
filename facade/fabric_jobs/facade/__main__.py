"""`python -m fabric_jobs.facade`: a replica, set by the environment.

`check` tries what a replica needs.
"""

import asyncio
import os
import signal
import sys

import uvloop

from fabric_jobs.facade.auth import AuthorityError
from fabric_jobs.facade.log import LogError
from fabric_jobs.facade.replica import StateInUseError
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.check import report
from fabric_jobs.facade.startup.composition import serve
from fabric_jobs.facade.startup.garbage import collect_seldom
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.settings import SettingsError, from_env
from fabric_jobs.runtime.telemetry import providers
from fabric_jobs.runtime.telemetry.logs import configure

EXPECTED = (
    SettingsError,
    AuthorityError,
    KafkaRefusedError,
    LogError,
    StateInUseError,
    OSError,
    RuntimeError,
)


USAGE = "usage: python -m fabric_jobs.facade [check [--create]]"


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
            providers.running("fabric-jobs-facade", os.environ, scraped=True),
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
