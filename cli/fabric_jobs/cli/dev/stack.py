"""The processes of `dev` and `demo`: broker, facade and executor, stopped in reverse order."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from fabric_jobs.cli.dev.broker import EmbeddedBroker
from fabric_jobs.cli.dev.environ import with_defaults, with_values
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.programs import STDERR, Program
from fabric_jobs.cli.errors import CommandError, InputError
from fabric_jobs.runtime.settings import (
    FILE_SUFFIX,
    KafkaSettings,
    SettingsError,
    host_port,
    is_loopback,
    variables,
)

_KAFKA = "FABRIC_JOBS_KAFKA_"
KAFKA_VARIABLE = f"{_KAFKA}BOOTSTRAP_SERVERS"
DEFAULTS = {
    "FABRIC_JOBS_BASE_PATH": "/workload",
    "FABRIC_JOBS_DOCS": "true",
    "FABRIC_JOBS_POOL": "default",
    # A user waits for this after Ctrl-C. It is far below the time after which a program is killed.
    "FABRIC_JOBS_DRAIN_S": "3",
    "FABRIC_JOBS_UNREADY_S": "0",
    "FABRIC_JOBS_LOG_FORMAT": "brief",
}

APACHE_DEFAULTS = {"FABRIC_JOBS_KAFKA_BROKER": "apache", "FABRIC_JOBS_CREATE_TOPICS": "true"}

T = TypeVar("T")


class Stack:
    """The running programs, on the Kafka that the environment names or on the embedded broker.

    Raises `InputError` if the name of the Kafka can't be read.
    """

    def __init__(self, environ: Mapping[str, str], log: int = STDERR) -> None:
        self._environ = with_defaults(environ, DEFAULTS)
        self._log = log
        #: The URL of the job monitor, if the running facade serves it.
        self.monitor: str | None = None
        #: The programs in the order of their starts, each with the task that waits for its end.
        self._programs: dict[Program, asyncio.Task[None]] = {}
        #: How the first program ended that was not stopped.
        self._failure: asyncio.Future[str] = asyncio.Future()
        if kafka := _read_kafka(environ):
            self._broker = None
            self.kafka = kafka
            self._environ = with_defaults(self._environ, APACHE_DEFAULTS)
        else:
            self._broker = EmbeddedBroker()
            self.kafka = self._broker.address
            # The settings of another Kafka do not fit the embedded broker.
            self._environ = {
                name: value for name, value in self._environ.items() if not name.startswith(_KAFKA)
            }
            self._environ[KAFKA_VARIABLE] = self.kafka
            self._environ["FABRIC_JOBS_KAFKA_BROKER"] = "embedded"

    @property
    def embedded(self) -> bool:
        """Whether the broker is the embedded one, which loses all jobs when it stops."""
        return self._broker is not None

    async def start_facade(self, http: str, grpc: str, issuer: Issuer) -> tuple[str, str]:
        """Starts a facade that trusts the issuer. Returns its URL and its gRPC address.

        Port 0 picks a free port.
        """
        self._environ = with_values(self._environ, issuer.settings)
        if is_loopback(host_port(http)[0]):
            # On another address the monitor needs a sign-in, which the user must configure.
            self._environ = with_defaults(self._environ, {"FABRIC_JOBS_MONITOR": "true"})
        facade = await self._start(
            "fabric_jobs.facade", FABRIC_JOBS_HTTP_ADDRESS=http, FABRIC_JOBS_GRPC_ADDRESS=grpc
        )
        self._environ = with_values(self._environ, {"FABRIC_JOBS_FACADES": facade.ready["grpc"]})
        self.monitor = facade.ready.get("monitor")
        return facade.ready["http"], facade.ready["grpc"]

    async def start_executor(self, target: str, imports: Path | None = None) -> Program:
        """Starts an executor of `MODULE:EXECUTOR`. Returns once it is connected to the facade.

        The executor keeps a list of the files that it imported in the file `imports`. Raises
        `NotStartedError`.
        """
        options = ["--example", *(["--imports", str(imports)] if imports else [])]
        return await self._start("fabric_jobs.executor", *options, target)

    async def stop(self, program: Program) -> None:
        """Stops one program. An executor hands back the jobs that it runs."""
        self._programs.pop(program).cancel()
        await program.stop()

    async def supervise(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs the work, and returns its result.

        Raises `CommandError` as soon as a program ends that was not stopped.
        """
        task = asyncio.create_task(work)
        first: list[asyncio.Future[Any]] = [task, self._failure]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            await asyncio.wait([task])
        if self._failure.done() and (task.cancelled() or task.exception()):
            raise CommandError(f"{self._failure.result()}; everything is stopped.")
        return task.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for watch in self._programs.values():
            watch.cancel()
        # The executor stops first, because it reports to the facade while it drains.
        async with contextlib.AsyncExitStack() as stops:
            for program in self._programs:
                stops.push_async_callback(program.stop)

    async def _start(self, module: str, *arguments: str, **variables: str) -> Program:
        program = await Program.start(
            module, *arguments, environ=with_values(self._environ, variables), log=self._log
        )
        watch = asyncio.create_task(self._watch(program), name=f"watch {module}")
        self._programs[program] = watch
        return program

    async def _watch(self, program: Program) -> None:
        ended = await program.wait()
        if not self._failure.done():
            self._failure.set_result(ended)


def _read_kafka(environ: Mapping[str, str]) -> str | None:
    """Returns the bootstrap servers that the environment names, directly or in a file."""
    if not (environ.get(KAFKA_VARIABLE) or environ.get(KAFKA_VARIABLE + FILE_SUFFIX)):
        return None
    (servers,) = (each for each in variables(KafkaSettings) if each.name == KAFKA_VARIABLE)
    try:
        return str(servers.read(environ))
    except SettingsError as error:
        raise InputError(str(error)) from error
