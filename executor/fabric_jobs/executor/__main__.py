"""`python -m fabric_jobs.executor MODULE:NAME`: runs the executor of that name."""

import importlib
import os
import sys
import traceback
from urllib.parse import quote

from fabric_jobs.executor import Executor, ExecutorSettings, NoHandlersError
from fabric_jobs.executor.tracebacks import authored
from fabric_jobs.runtime.kafka.clients import KafkaRefusedError
from fabric_jobs.runtime.settings import SettingsError, from_env
from fabric_jobs.runtime.telemetry import providers
from fabric_jobs.runtime.telemetry.logs import configure


class UsageError(Exception):
    """The command line names no executor."""


USAGE = "usage: python -m fabric_jobs.executor MODULE:NAME, such as my_jobs:executor"


def load(target: str) -> Executor:
    """The executor that `MODULE:NAME` names. Raises `UsageError`, saying what is not there."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"{target!r} is not MODULE:NAME, such as my_jobs:executor.")
    # A program that is installed starts in its own folder's path, not in the current one's.
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


def main() -> None:
    """The command."""
    try:
        if len(sys.argv) != 2:
            raise UsageError(USAGE)
        settings = from_env(ExecutorSettings, os.environ)
        configure(settings.log_format)

        scraped = settings.metrics_address is not None
        with providers.export_telemetry("fabric-jobs-executor", os.environ, prometheus=scraped):
            executor = load(sys.argv[1])
            kinds = ",".join(
                "/".join(quote(name, safe="") for name in kind) for kind in executor.handlers
            )

            def announce(executor_id: str) -> None:
                ids = f"pool={settings.pool} executor_id={executor_id}"
                print(f"executor ready {ids} job_types={kinds}", flush=True)

            executor.run(settings, on_ready=announce)
    except (UsageError, SettingsError, NoHandlersError, KafkaRefusedError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        traceback.print_exception(authored(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
