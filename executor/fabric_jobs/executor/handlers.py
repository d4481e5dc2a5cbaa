"""A handler: the function that runs the jobs of one type, its payload type and its policy."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from fabric_jobs.contract.definitions import ItemDefinition, decode_definition
from fabric_jobs.contract.dispatch_order import (
    DEFAULT_PRIORITIES,
    MAX_PRIORITY,
    MIN_PRIORITY,
)
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.executor.errors import (
    HandlerDefinitionError,
    NoThreadError,
    PayloadInvalidError,
)
from fabric_jobs.executor.jobs import Job

DEFAULT_POLICY = Policy()


log = logging.getLogger("fabric_jobs.executor")
#: The names of the functions that have returned a value.
_warned: set[str] = set()


class Handler(Struct, frozen=True, kw_only=True):
    """A function that was registered for a job type, and how the executor calls it."""

    item_type: str
    job_type: str
    function: Callable[[Job[Any, Any]], object]
    payload_decoder: msgspec.json.Decoder[Any]
    is_async: bool
    policy: Policy
    #: The number of jobs of this type that the process runs at a time. `None` means that only the
    #: slots of the process limit it.
    slots: int | None
    #: The priority of every attempt of this type. `None` means that it depends on who requested
    #: the job.
    priority: int | None

    def priority_of(self, invoke_type: InvokeType) -> int:
        """Returns the priority of an attempt of a job that was requested in this way."""
        return DEFAULT_PRIORITIES[invoke_type] if self.priority is None else self.priority

    def decode(self, payload: bytes) -> object:
        """Decodes a JSON payload to the handler's payload type. No payload counts as `{}`.

        Raises `PayloadInvalidError`.
        """
        try:
            return self.payload_decoder.decode(b"{}" if payload in (b"", b"null") else payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _invalid("payload", error) from None

    async def call(self, job: Job[Any]) -> None:
        """Runs the handler to its end: in the event loop if it is `async def`, else in a thread.

        Raises what the handler raises, and `NoThreadError` if no thread can be started.
        """
        try:
            if self.is_async:
                result = await self.function(job)  # type: ignore[misc] # is_async implies an awaitable
                warn_of_result(self.function, result)
            elif error := await _call_in_thread(self.function, job):
                raise error
        except (SystemExit, KeyboardInterrupt) as error:
            # If a task raised it, the event loop would end, and every other job with it.
            raise RuntimeError(f"The handler raised {error!r}") from error


def decode_item_definition(json: bytes) -> ItemDefinition | None:
    """Decodes an item's definition; an empty text is none. Raises `PayloadInvalidError`."""
    try:
        return decode_definition(json) if json else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid("definition", error) from None


def _invalid(name: str, error: Exception) -> PayloadInvalidError:
    """The error of a payload or a definition that can't be decoded."""
    if isinstance(error, RecursionError):
        return PayloadInvalidError(f"The {name} is nested too deeply.")
    # msgspec's message names the path of the wrong value, except the root's path.
    path = "" if " - at `$" in str(error) else " - at `$`"
    return PayloadInvalidError(f"The {name}: {error}{path}.")


def warn_of_result(function: Callable[[Job[Any]], object], result: object) -> None:
    """Logs one warning for each function that returned a value, which nobody gets."""
    name = f"{function.__module__}.{function.__qualname__}"
    if result is not None and name not in _warned:
        _warned.add(name)
        log.warning(
            "%s returned a value of type %s, which is dropped. Store it, and return nothing",
            *(name, type(result).__name__),
        )


def make_handler(
    item_type: str,
    job_type: str,
    function: Callable[[Job[Any, Any]], object],
    policy: Policy = DEFAULT_POLICY,
    slots: int | None = None,
    priority: int | None = None,
) -> Handler:
    """Returns the handler for a function. Raises `HandlerDefinitionError`."""
    for name, value in (("item type", item_type), ("job type", job_type)):
        if not isinstance(value, str) or not value:
            raise HandlerDefinitionError(
                f"The {name} must be a non-empty string, not {value!r}. "
                'Example: @executor.job("Item.Type", "jobType").'
            )
    if not inspect.isroutine(function):
        raise HandlerDefinitionError(f"{function!r} is not a function.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerDefinitionError(
            f"{function.__qualname__} is a generator function. A handler can't use `yield`."
        )
    if slots is not None and (type(slots) is not int or slots < 1):
        raise HandlerDefinitionError(
            f"{function.__qualname__}: slots must be a whole number, at least 1, not {slots!r}."
        )
    if priority is not None and (
        type(priority) is not int or not MIN_PRIORITY <= priority <= MAX_PRIORITY
    ):
        raise HandlerDefinitionError(
            f"{function.__qualname__}: priority must be a whole number from {MIN_PRIORITY} to "
            f"{MAX_PRIORITY}, not {priority!r}."
        )
    payload_type = _payload_type(function)
    try:
        decoder = msgspec.json.Decoder(payload_type)
        usable = not isinstance(msgspec.inspect.type_info(payload_type), msgspec.inspect.CustomType)
    except TypeError as error:
        raise HandlerDefinitionError(f"{function.__qualname__}: {error}.") from error
    if not usable:
        raise HandlerDefinitionError(
            f"{function.__qualname__}: JSON can't be decoded to {payload_type!r}. "
            "Use a msgspec.Struct, a dataclass, a TypedDict or a built-in type."
        )
    return Handler(
        item_type=item_type,
        job_type=job_type,
        function=function,
        payload_decoder=decoder,
        is_async=inspect.iscoroutinefunction(function),
        policy=policy,
        slots=slots,
        priority=priority,
    )


def _payload_type(function: Callable[[Job[Any, Any]], object]) -> Any:
    signature = inspect.signature(function)
    try:
        signature.bind(None)
    except TypeError as error:
        raise HandlerDefinitionError(
            f"{function.__qualname__}{signature} must take one argument, the job: {error}."
        ) from error
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise HandlerDefinitionError(
            f"{function.__qualname__}{signature}: an annotation can't be resolved: {error}."
        ) from error
    hint = hints.get(next(iter(signature.parameters)), Job)
    if hint is Job:
        return Any
    if get_origin(hint) is not Job:
        raise HandlerDefinitionError(
            f"{function.__qualname__}{signature} must take a Job, such as Job[MyPayload]."
        )
    payload_type, *_ = get_args(hint)
    return Any if isinstance(payload_type, TypeVar) else payload_type


def _call_in_thread(
    function: Callable[[Job[Any]], object], job: Job[Any]
) -> asyncio.Future[BaseException | None]:
    """Calls the function in a new thread. The future resolves to the exception that it raised.

    The thread is a daemon, unlike the threads of a pool, so a handler that does not end can't keep
    the process alive. The slots of the executor bound the number of threads.

    Raises `NoThreadError` if the thread can't be started.
    """
    loop = asyncio.get_running_loop()
    # The exception is the future's result, because a future can't raise StopIteration.
    raised: asyncio.Future[BaseException | None] = loop.create_future()
    context = copy_context()

    def settle(error: BaseException | None) -> None:
        if not raised.done():
            raised.set_result(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            result = context.run(function, job)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("The handler returned a coroutine. Define it with `async def`.")
            warn_of_result(function, result)
        except BaseException as exception:
            error = exception
        with suppress(RuntimeError):  # the executor has ended, and its loop is closed
            loop.call_soon_threadsafe(settle, error)

    try:
        threading.Thread(target=run, name=f"job {job.job_id}", daemon=True).start()
    except (RuntimeError, MemoryError) as error:
        raise NoThreadError(f"The handler was not called: {error}") from error
    return raised
