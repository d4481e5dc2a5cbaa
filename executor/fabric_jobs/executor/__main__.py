"""The program `python -m fabric_jobs.executor MODULE:EXECUTOR`, which runs an `Executor`."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from fabric_jobs.executor import (
    Executor,
    ExecutorSettings,
    HandlerDefinitionError,
    HelloRefusedError,
    LifespanError,
    NoHandlersError,
)
from fabric_jobs.executor.api import exit_code
from fabric_jobs.executor.examples import make_example
from fabric_jobs.executor.imports import start_listing
from fabric_jobs.executor.runs.tracebacks import strip_executor_frames
from fabric_jobs.executor.signals import end_despite_threads
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.settings import SettingsError, from_env
from fabric_jobs.runtime.telemetry import providers
from fabric_jobs.runtime.telemetry.logs import configure


class UsageError(Exception):
    """The command line does not name an executor."""


USAGE = "usage: python -m fabric_jobs.executor MODULE:EXECUTOR, for example my_jobs:executor"


class Arguments(NamedTuple):
    """The command line. The options are for `fabric-jobs dev`."""

    target: str
    #: Makes the ready line end with `example=`, an example of the first handler's payload, quoted
    #: as in a URL. It is missing if no example can be made.
    example: bool = False
    #: A file that lists the files under the current folder that the process has imported.
    imports: Path | None = None

    @classmethod
    def parse(cls, arguments: list[str]) -> "Arguments":
        """Returns the parsed command line. Raises `UsageError`."""
        match arguments:
            case [target]:
                return cls(target)
            case ["--example", target]:
                return cls(target, example=True)
            case ["--example", "--imports", file, target]:
                return cls(target, example=True, imports=Path(file))
        raise UsageError(USAGE)


def load(target: str) -> Executor[Any]:
    """Imports and returns the executor that `MODULE:EXECUTOR` names.

    Raises `UsageError` if there is no such module or no such executor in it.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"{target!r} is not MODULE:EXECUTOR, for example my_jobs:executor.")
    # An installed program does not have the current folder in its module path.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"There is no module {error.name} here.") from error
    executor = getattr(module, name, None)
    if not isinstance(executor, Executor):
        raise UsageError(f"{module_name} has no Executor named {name}.")
    return executor


def _example_word(executor: Executor[Any]) -> str:
    handler = next(iter(executor.handlers.values()))
    example = make_example(handler.payload_type)
    return "" if example is None else f" example={quote(example, safe='')}"


def main() -> None:
    """Runs the program.

    A thread that a handler left running does not keep the program from its end.
    """
    code = run_program()
    end_despite_threads(code)
    sys.exit(code)


def run_program() -> int:
    """Runs the executor that the command line names. Returns the exit code of the program.

    The code is 2 after one line for a wrong command line or setting, also if a facade or Kafka
    refuses the executor because of one. It is 1 after one line if the lifespan fails to start or
    ends by itself, and 1 after a traceback for any other error.
    """
    try:
        arguments = Arguments.parse(sys.argv[1:])
        settings = from_env(ExecutorSettings, os.environ)
        configure(settings.log_format, settings.log_level)

        scraped = settings.metrics_address is not None
        with providers.export_telemetry("fabric-jobs-executor", os.environ, prometheus=scraped):
            if arguments.imports:
                start_listing(arguments.imports, Path.cwd())
            executor = load(arguments.target)
            job_types = ",".join(
                "/".join(quote(name, safe="") for name in key) for key in executor.handlers
            )

            def announce(executor_id: str) -> None:
                ids = f"pool={settings.pool} executor_id={executor_id}"
                example = _example_word(executor) if arguments.example else ""
                print(f"executor ready {ids} job_types={job_types}{example}", flush=True)

            try:
                executor.run(settings, on_ready=announce)
            except HandlerDefinitionError as error:
                # Without a traceback, unlike one of the import: it would show the executor only.
                raise UsageError(str(error)) from error
    except (
        UsageError,
        SettingsError,
        NoHandlersError,
        HelloRefusedError,
        KafkaRefusedError,
        LifespanError,
    ) as error:
        print(error, file=sys.stderr)
        return exit_code(error)
    except Exception as error:
        traceback.print_exception(strip_executor_frames(error))
        return 1
    return 0


if __name__ == "__main__":
    main()
