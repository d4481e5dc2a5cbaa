"""`python -m fabric_jobs.facade` runs a replica; its settings come from the environment.

`python -m fabric_jobs.facade check` tests what a replica needs, and exits.
"""

import os
import signal

if __name__ == "__main__":
    # Before the slow imports: as PID 1 of a container, a process without a handler ignores SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

import asyncio
import sys

import uvloop

from fabric_jobs.facade.auth import AuthorityError
from fabric_jobs.facade.log import LogError
from fabric_jobs.facade.replica import StateError, StateInUseError
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.check import print_report
from fabric_jobs.facade.startup.composition import serve
from fabric_jobs.facade.startup.garbage import tune_garbage_collection
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.settings import SettingsError, from_env
from fabric_jobs.runtime.telemetry import providers
from fabric_jobs.runtime.telemetry.logs import configure

PROGRAM = "python -m fabric_jobs.facade"
USAGE = f"usage: {PROGRAM} [check [--create]]"
#: Errors whose message is enough; any other one is printed with its traceback.
EXPECTED_ERRORS = (
    SettingsError,
    AuthorityError,
    KafkaRefusedError,
    LogError,
    StateError,
    StateInUseError,
    OSError,
    RuntimeError,
)


def main() -> int:
    """Runs the command line; returns the exit code."""
    match sys.argv[1:]:
        case []:
            return run()
        case ["check", *options] if set(options) <= {"--create"}:
            return print_report(os.environ, create=bool(options))
    print(USAGE, file=sys.stderr)
    return 2


def run() -> int:
    """Runs a replica until SIGTERM or SIGINT; returns the exit code.

    The first signal drains the replica. The same signal again ends the process at once.
    """
    try:
        settings = from_env(FacadeSettings, os.environ)
        configure(settings.log_format, settings.log_level)
        tune_garbage_collection()
        with (
            providers.export_telemetry("fabric-jobs-facade", os.environ, prometheus=True),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_serve_until_signalled(settings))
    except Exception as error:
        for fault in _flatten(error):
            if not isinstance(fault, EXPECTED_ERRORS):
                raise
            print(f"{PROGRAM}: {fault}", file=sys.stderr)
        return 1
    return 0


def _flatten(error: BaseException) -> list[BaseException]:
    """The errors in a group, also in a group within it; an error that is no group is itself."""
    if isinstance(error, BaseExceptionGroup):
        return [fault for inner in error.exceptions for fault in _flatten(inner)]
    return [error]


async def _serve_until_signalled(settings: FacadeSettings) -> None:
    serving = asyncio.create_task(serve(settings), name="serve")
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        # Without the handler, a second signal of this kind has its default effect.
        loop.remove_signal_handler(number)
        serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


if __name__ == "__main__":
    sys.exit(main())
