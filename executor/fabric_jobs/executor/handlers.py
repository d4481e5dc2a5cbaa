"""A handler: the function that runs the jobs of one type, its payload type and its policy."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from fabric_jobs.contract.definitions import ItemDefinition, decode_definition
from fabric_jobs.contract.dispatch_order import (
    DEFAULT_PRIORITIES,
    MAX_PRIORITY,
    MIN_PRIORITY,
)
from fabric_jobs.contract.jobs import InvokeType, Policy
from fabric_jobs.executor.errors import HandlerDefinitionError
from fabric_jobs.executor.jobs import Job
from fabric_jobs.executor.payloads import PayloadType, explain_invalid, make_payload_type
from fabric_jobs.executor.runs.calls import call_in_thread, verify_result

DEFAULT_POLICY = Policy()
#: The least value of `memory_limit_mb`: Python and the executor need about 100 MB.
MIN_MEMORY_LIMIT_MB = 128

#: Where a handler runs, if not in the executor's own process.
RunIn = Literal["process"]


class Handler(Struct, frozen=True, kw_only=True):
    """A function that was registered for a job type, and how the executor calls it."""

    item_type: str
    job_type: str
    function: Callable[[Job[Any, Any]], object]
    payload_type: PayloadType
    is_async: bool
    policy: Policy
    #: The number of jobs of this type that the process runs at a time. `None` means that only the
    #: slots of the process limit it.
    slots: int | None
    #: The priority of every attempt of this type. `None` means that it depends on who requested
    #: the job.
    priority: int | None
    #: `None` means the executor's own process: the event loop, or a thread for a `def` function.
    run_in: RunIn | None = None
    #: MB (2**20 bytes) that the function's process may use. `None` is no limit.
    memory_limit_mb: int | None = None

    def priority_of(self, invoke_type: InvokeType) -> int:
        """Returns the priority of an attempt of a job that was requested in this way."""
        return DEFAULT_PRIORITIES[invoke_type] if self.priority is None else self.priority

    def decode(self, payload: bytes) -> object:
        """Decodes a JSON payload to the handler's payload type. No payload counts as `{}`.

        Raises `PayloadInvalidError`.
        """
        return self.payload_type.decode(b"{}" if payload in (b"", b"null") else payload)

    async def call(self, job: Job[Any]) -> None:
        """Runs the handler in this process: in the event loop, or in a thread if it is `def`.

        Raises what the handler raises, and `NoThreadError` if no thread can be started.
        """
        try:
            if self.is_async:
                result = await self.function(job)  # type: ignore[misc] # is_async implies an awaitable
                verify_result(self.function, result)
            elif error := await call_in_thread(self.function, job):
                raise error
        except (SystemExit, KeyboardInterrupt) as error:
            # If a task raised it, the event loop would end, and every other job with it.
            raise RuntimeError(f"The handler raised {error!r}") from error


def decode_item_definition(json: bytes) -> ItemDefinition | None:
    """Decodes an item's definition; an empty text is none. Raises `PayloadInvalidError`."""
    try:
        return decode_definition(json) if json else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explain_invalid("definition", error) from None


def make_handler(
    item_type: str,
    job_type: str,
    function: Callable[[Job[Any, Any]], object],
    policy: Policy = DEFAULT_POLICY,
    slots: int | None = None,
    priority: int | None = None,
    run_in: RunIn | None = None,
    memory_limit_mb: int | None = None,
) -> Handler:
    """Returns the handler for a function. Raises `HandlerDefinitionError`."""
    for name, value in (("item type", item_type), ("job type", job_type)):
        if not isinstance(value, str) or not value:
            raise HandlerDefinitionError(
                f"The {name} must be a non-empty string, not {value!r}. "
                'Example: @executor.job("Item.Type", "jobType").'
            )
    if not inspect.isroutine(function):
        raise HandlerDefinitionError(
            f"{function!r} is not a function. Define a handler with `def` or `async def`."
        )
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
    if run_in not in (None, "process"):
        raise HandlerDefinitionError(
            f'{function.__qualname__}: run_in must be "process" or None, not {run_in!r}.'
        )
    _verify_memory_limit(function, run_in, memory_limit_mb)
    try:
        payload_type = make_payload_type(_annotated_payload(function))
    except TypeError as error:
        raise HandlerDefinitionError(f"{function.__qualname__}: {error}.") from error
    return Handler(
        item_type=item_type,
        job_type=job_type,
        function=function,
        payload_type=payload_type,
        is_async=inspect.iscoroutinefunction(function),
        policy=policy,
        slots=slots,
        priority=priority,
        run_in=run_in,
        memory_limit_mb=memory_limit_mb,
    )


def _verify_memory_limit(
    function: Callable[[Job[Any, Any]], object], run_in: RunIn | None, memory_limit_mb: int | None
) -> None:
    if memory_limit_mb is None:
        return
    if run_in is None:
        raise HandlerDefinitionError(
            f'{function.__qualname__}: memory_limit_mb needs run_in="process".'
        )
    if type(memory_limit_mb) is not int or memory_limit_mb < MIN_MEMORY_LIMIT_MB:
        raise HandlerDefinitionError(
            f"{function.__qualname__}: memory_limit_mb must be a whole number, at least "
            f"{MIN_MEMORY_LIMIT_MB}, not {memory_limit_mb!r}."
        )


def _annotated_payload(function: Callable[[Job[Any, Any]], object]) -> Any:
    signature = inspect.signature(function)
    try:
        # The executor calls the wrapper, which may give the function more arguments than the job.
        called = inspect.signature(function, follow_wrapped=False)
    except ValueError:  # a wrapper in C, such as that of `functools.lru_cache`
        called = signature
    try:
        called.bind(None)
    except TypeError as error:
        raise HandlerDefinitionError(
            f"{function.__qualname__}{called} must take one argument, the job: {error}."
        ) from error
    try:
        hints = {name: _resolve_alias(one) for name, one in get_type_hints(function).items()}
    except NameError as error:
        raise HandlerDefinitionError(
            f"{function.__qualname__}{signature}: an annotation can't be resolved: {error}."
        ) from error
    given = [hints.get(name) for name in signature.parameters]
    # A wrapper may also give the function arguments that stand before the job, or no job at all.
    jobs = [one for one in given if Job in (one, get_origin(one))]
    hint = next(iter(jobs or given), None)
    if hint is None or hint is Job:
        return Any
    if get_origin(hint) is not Job:
        raise HandlerDefinitionError(
            f"{function.__qualname__}{signature} must take a Job, such as Job[MyPayload]."
        )
    payload_type, *_ = get_args(hint)
    return Any if isinstance(payload_type, TypeVar) else payload_type


def _resolve_alias(hint: Any) -> Any:
    """Returns what an alias stands for that a `type` statement defined, else the hint itself."""
    alias = get_origin(hint) or hint
    if not hasattr(alias, "__value__"):
        return hint
    given = dict(zip(alias.__type_params__, get_args(hint), strict=False))
    value = alias.__value__
    parameters = getattr(value, "__parameters__", ())
    if given and parameters:
        value = value[tuple(given[one] for one in parameters)]
    return _resolve_alias(value)
