"""The process tree: a broker, a facade and an executor, started in order and stopped in reverse."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Mapping
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from fabric_jobs.cli.dev.broker import EmbeddedBroker
from fabric_jobs.cli.dev.issuer import Issuer
from fabric_jobs.cli.dev.programs import STDERR, Program
from fabric_jobs.cli.errors import CommandError, InputError
from fabric_jobs.runtime.settings import (
    FILE,
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
    # Who presses Ctrl-C waits for it: far below the time after which a program is killed.
    "FABRIC_JOBS_DRAIN_S": "3",
    "FABRIC_JOBS_UNREADY_S": "0",
}

T = TypeVar("T")


class Stack:
    """The running programs, on the Kafka that the environment names or on the embedded broker.

    Raises `InputError` where the name can't be read.
    """

    def __init__(self, environ: Mapping[str, str], log: int = STDERR) -> None:
        self._environ = DEFAULTS | dict(environ)
        self._log = log
        #: Where the job monitor is, once the facade is there and serves it.
        self.monitor: str | None = None
        #: Each with the task that waits for its end, in the order of their starts.
        self._programs: dict[Program, asyncio.Task[None]] = {}
        self._broken: asyncio.Future[str] = asyncio.Future()
        if kafka := _kafka_named(environ):
            self._broker = None
            self.kafka = kafka
            self._environ.setdefault("FABRIC_JOBS_KAFKA_BROKER", "apache")
            self._environ.setdefault("FABRIC_JOBS_CREATE_TOPICS", "true")
        else:
            self._broker = EmbeddedBroker()
            self.kafka = self._broker.address
            # What is set for another Kafka does not hold for this one.
            self._environ = {
                name: value for name, value in self._environ.items() if not name.startswith(_KAFKA)
            }
            self._environ[KAFKA_VARIABLE] = self.kafka
            self._environ["FABRIC_JOBS_KAFKA_BROKER"] = "embedded"

    @property
    def embedded(self) -> bool:
        """Whether the broker is ours, and forgets everything at its end."""
        return self._broker is not None

    async def start_facade(self, http: str, grpc: str, issuer: Issuer) -> tuple[str, str]:
        """The facade's URL and gRPC address, once it answers there; port 0 is any free one.

        It authenticates Fabric by the issuer's keys.
        """
        self._environ |= issuer.settings
        if is_loopback(host_port(http)[0]):
            # Elsewhere it needs a sign-in, which is for the user to set.
            self._environ.setdefault("FABRIC_JOBS_MONITOR", "true")
        facade = await self._start(
            "fabric_jobs.facade", FABRIC_JOBS_HTTP_ADDRESS=http, FABRIC_JOBS_GRPC_ADDRESS=grpc
        )
        self._environ["FABRIC_JOBS_FACADES"] = facade.ready["grpc"]
        self.monitor = facade.ready.get("monitor")
        return facade.ready["http"], facade.ready["grpc"]

    async def start_executor(self, target: str) -> Program:
        """Run the handlers of `MODULE:EXECUTOR`; returns once they are connected.

        Raises `NotStartedError`.
        """
        return await self._start("fabric_jobs.executor", target)

    async def stop(self, program: Program) -> None:
        """Stop one alone; an executor hands back what it runs."""
        self._programs.pop(program).cancel()
        await program.stop()

    async def alongside(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work; raises `CommandError` as soon as a program ends by itself."""
        task = asyncio.create_task(work)
        first: list[asyncio.Future[Any]] = [task, self._broken]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            await asyncio.wait([task])
        if self._broken.done() and (task.cancelled() or task.exception()):
            raise CommandError(f"{self._broken.result()}; everything is stopped.")
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
        # The executor first: while it drains, it still has the facade to report to.
        async with contextlib.AsyncExitStack() as stops:
            for program in self._programs:
                stops.push_async_callback(program.stop)

    async def _start(self, name: str, *arguments: str, **variables: str) -> Program:
        program = await Program.start(
            name, *arguments, environ=self._environ | variables, log=self._log
        )
        watch = asyncio.create_task(self._watch(program), name=f"watch {name}")
        self._programs[program] = watch
        return program

    async def _watch(self, program: Program) -> None:
        ended = await program.ended()
        if not self._broken.done():
            self._broken.set_result(ended)


def _kafka_named(environ: Mapping[str, str]) -> str | None:
    """The bootstrap servers, be they said in a file."""
    if not (environ.get(KAFKA_VARIABLE) or environ.get(KAFKA_VARIABLE + FILE)):
        return None
    (servers,) = (each for each in variables(KafkaSettings) if each.name == KAFKA_VARIABLE)
    try:
        return str(servers.read(environ))
    except SettingsError as error:
        raise InputError(str(error)) from error


async def until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work; none where a signal asked to stop, and the work has cleaned up.

    The first signal cancels the work, and a second one its cleaning up.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        loop.call_soon_threadsafe(task.cancel)

    numbers = [signal.SIGINT, signal.SIGTERM]
    # A closed terminal ends the tree as Ctrl-C does, except under nohup.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        return None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
