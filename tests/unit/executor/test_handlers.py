"""Which functions can be handlers, how payloads are decoded, and how handlers are called."""

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import pytest
from typing_extensions import TypeAliasType

from fabric_jobs.contract.errors import ErrorSource
from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.executor import Executor, HandlerDefinitionError, Job, PayloadInvalidError
from fabric_jobs.executor.handlers import make_handler
from fabric_jobs.executor.payloads import PayloadType
from fabric_jobs.executor.testing import run_job
from tests.support.jobs import make_job


class Forecast(msgspec.Struct):
    """A payload type."""

    priority: str = "normal"
    region: dict[str, int] = {}


class Other(msgspec.Struct):
    """A payload type whose JSON can't be distinguished from a `Forecast`."""


class WithPaths(msgspec.Struct):
    """A payload type with a field that msgspec can't decode."""

    paths: list[Path] = []


async def on_forecast(job: Job[Forecast]) -> None:
    """A handler whose payload is a `Forecast`."""


async def on_anything(job: Job[Any]) -> None:
    """A handler that takes any payload."""


def decode(function: Callable[[Job[Any]], object], payload: bytes) -> object:
    """Returns the decoded payload that the handler gets."""
    return make_handler("Item", "job", function).decode(payload)


async def test_decorated_function_called_directly_runs_as_before() -> None:
    """The decorator returns the function itself, so a test can call it with its own job."""
    executor = Executor()

    @executor.job("Item", "job")
    async def handler(job: Job[Forecast]) -> None:
        await job.progress(0.5, "half way")
        called.append(job.payload.priority)

    called: list[str] = []
    await handler(make_job(Forecast("high")))
    assert called == ["high"]


def test_job_type_with_a_handler_refuses_a_second_handler() -> None:
    """The error names the first handler. Another `Executor` may have its own handler."""
    executor = Executor()
    executor.job("Item", "job")(on_forecast)
    executor.job("Item", "other")(on_forecast)
    Executor().job("Item", "job")(on_forecast)

    with pytest.raises(
        HandlerDefinitionError, match=r"Item job already has a handler: .*\.on_forecast\."
    ):
        executor.job("Item", "job")(on_anything)


def no_argument() -> None: ...
def two_arguments(job: Job[Any], more: int) -> None: ...
def keyword_only(*, job: Job[Any]) -> None: ...
def takes_the_payload(payload: Forecast) -> None: ...
def unresolvable(job: "Job[Missing]") -> None: ...  # type: ignore[name-defined] # noqa: F821
def not_decodable(job: Job[threading.Event]) -> None: ...
def not_decodable_field(job: Job[WithPaths]) -> None: ...
def of_a_protocol(job: Job[list[PayloadType]]) -> None: ...
def ambiguous(job: Job[Forecast | Other]) -> None: ...
def generator(job: Job[Any]) -> Iterator[int]:
    yield 1


async def async_generator(job: Job[Any]) -> AsyncIterator[int]:
    yield 1


def test_payload_of_any_objects_is_decoded_as_it_is() -> None:
    """msgspec does not know `object`, and takes every value for it."""

    def handler(job: Job[dict[str, object]]) -> None: ...

    assert decode(handler, b'{"a": [1, {}]}') == {"a": [1, {}]}


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (no_argument, "must take one argument"),
        (two_arguments, "must take one argument"),
        (keyword_only, "must take one argument"),
        (takes_the_payload, "must take a Job"),
        (unresolvable, "'Missing' is not defined"),
        (not_decodable, "JSON can't be decoded to"),
        (of_a_protocol, r"JSON can't be decoded to <class 'fabric_jobs\..*PayloadType'>"),
        (not_decodable_field, r"JSON can't be decoded to <class 'pathlib\.(_local\.)?Path'>"),
        (ambiguous, "must be tagged"),
        (generator, "can't use `yield`"),
        (async_generator, "can't use `yield`"),
        (functools.partial(two_arguments, more=1), "is not a function"),
        (Forecast, "is not a function"),
    ],
)
def test_unusable_handler_raises_at_decoration(
    function: Callable[[Job[Any]], None], why: str
) -> None:
    """Its author sees the error when the module is imported, not when the first job arrives."""
    with pytest.raises(HandlerDefinitionError, match=why):
        Executor().job("Item", "job")(function)


P = TypeVar("P")
R = TypeVar("R")
ForecastJob = TypeAliasType("ForecastJob", Job[Forecast])
#: The parameters are in another order than those of `Job`.
JobOf = TypeAliasType("JobOf", Job[P, R], type_params=(R, P))
JobOfText = TypeAliasType("JobOfText", JobOf[str, P], type_params=(P,))
NoJobOf = TypeAliasType("NoJobOf", Job[Forecast], type_params=(P,))


@pytest.mark.parametrize(
    "alias", [ForecastJob, JobOf[str, Forecast], JobOfText[Forecast], NoJobOf[str]]
)
def test_payload_type_of_an_alias_of_job_is_that_of_the_job(alias: Any) -> None:
    """From Python 3.12 on, a `type` statement defines such an alias."""

    def handler(job: Any) -> None: ...

    handler.__annotations__["job"] = alias
    assert decode(handler, b'{"priority": "high"}') == Forecast("high")


def give_a_table(
    function: Callable[[Job[Forecast], str], None],
) -> Callable[[Job[Forecast]], None]:
    """Gives a function what it needs besides its job."""

    @functools.wraps(function)
    def wrapper(job: Job[Forecast]) -> None:
        function(job, "sales")

    return wrapper


def test_handler_behind_a_decorator_that_gives_it_more_arguments_is_called() -> None:
    """`functools.wraps` shows the signature of the wrapped function, which is not called alone."""
    executor = Executor()
    called = []

    @executor.job("Item", "job")
    @give_a_table
    def on_table(job: Job[Forecast], table: str) -> None:
        called.append((job.payload, table))

    run_job(executor, "Item", "job")
    assert called == [(Forecast(), "sales")]


def test_handler_behind_a_decorator_that_keeps_the_job_takes_any_json() -> None:
    """The function that it wraps takes nothing, so it does not say what the payload is."""

    def refresh() -> None: ...

    @functools.wraps(refresh)
    def wrapper(job: Job[Any]) -> None:
        refresh()

    assert make_handler("Item", "job", wrapper).decode(b'{"a": 1}') == {"a": 1}


def test_handler_behind_a_decorator_in_c_has_the_signature_of_its_function() -> None:
    """The wrapper of `functools.lru_cache` has none of its own."""
    assert make_handler("Item", "job", functools.lru_cache(on_forecast)).decode(b"") == Forecast()


def test_handler_behind_a_decorator_gets_the_payload_of_its_job_parameter() -> None:
    """The decorator may also put an argument before the job."""
    executor = Executor()
    called: list[object] = []

    def give_a_connection(function: Callable[[str, Job[Any]], None]) -> Callable[[Job[Any]], None]:
        return functools.wraps(function)(lambda job: function("connection", job))

    @executor.job("Item", "annotated")
    @give_a_connection
    def annotated(connection: str, job: Job[Forecast]) -> None:
        called.append(job.payload)

    @executor.job("Item", "bare")
    @give_a_connection
    def bare(connection, job: Job[Forecast]) -> None:  # type: ignore[no-untyped-def] # by intent
        called.append(job.payload)

    for job_type in ("annotated", "bare"):
        run_job(executor, "Item", job_type)
    assert called == [Forecast(), Forecast()]


@pytest.mark.parametrize(("item_type", "job_type"), [("", "job"), ("Item", ""), (1, "job")])
def test_job_type_with_a_name_that_is_no_text_raises_at_decoration(
    item_type: Any, job_type: str
) -> None:
    """Item type and job type must be non-empty strings."""
    with pytest.raises(HandlerDefinitionError, match="must be a non-empty string"):
        Executor().job(item_type, job_type)(on_anything)


@pytest.mark.parametrize("priority", [0, 10, -1, 1.5, "7", True])
def test_priority_out_of_range_or_not_whole_raises_at_decoration(priority: Any) -> None:
    """The message names the function and the range."""
    with pytest.raises(HandlerDefinitionError, match=r"on_anything: priority .* from 1 to 9"):
        Executor().job("Item", "job", priority=priority)(on_anything)


def test_priority_of_handler_depends_on_the_invoke_type_unless_the_handler_sets_one() -> None:
    """Manual is before Scheduled, and Scheduled before what a later version may have."""
    by_default = make_handler("Item", "job", on_anything)
    urgent = make_handler("Item", "job", on_anything, priority=9)
    assert [by_default.priority_of(invoke_type) for invoke_type in InvokeType] == [7, 5, 3]
    assert [urgent.priority_of(invoke_type) for invoke_type in InvokeType] == [9, 9, 9]


@pytest.mark.parametrize("slots", [0, -1, 1.5, "2", True])
def test_slots_below_one_or_not_whole_raise_at_decoration(slots: Any) -> None:
    """With such a limit, jobs of the type would never run here."""
    with pytest.raises(HandlerDefinitionError, match="on_anything: slots must be"):
        Executor().job("Item", "job", slots=slots)(on_anything)


def test_payload_is_decoded_to_the_annotated_type() -> None:
    """Unknown fields are ignored, so that an old handler accepts the payload of a new caller."""
    assert decode(on_forecast, b'{"priority": "high", "new": 1}') == Forecast("high")


@pytest.mark.parametrize("payload", [b"null", b"", b"{}"])
def test_absent_payload_is_an_empty_object(payload: bytes) -> None:
    """If all fields of the payload type have defaults, the job needs no payload."""
    assert decode(on_forecast, payload) == Forecast()
    assert decode(on_anything, payload) == {}


def test_handler_without_payload_type_takes_any_json() -> None:
    """`Job`, `Job[Any]` and no annotation have the same meaning."""

    def plain(job: Job) -> None: ...  # type: ignore[type-arg]
    def bare(job): ...  # type: ignore[no-untyped-def]

    for function in (plain, bare, on_anything):
        assert decode(function, b'[1, {"a": null}]') == [1, {"a": None}]


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (b'{"priority": 1}', "`$.priority`"),
        (b'{"region": {"west": "x"}}', "`$.region[...]`"),
        (b"[]", "`$`"),
        (b'{"priority": "\xff"}', "`$`"),
    ],
)
def test_payload_of_another_type_is_a_permanent_error_of_the_user(
    payload: bytes, path: str
) -> None:
    """The message names the path of the wrong value."""
    with pytest.raises(PayloadInvalidError) as raised:
        decode(on_forecast, payload)

    response = raised.value.response
    assert (response.error_code, response.source) == ("PayloadInvalid", ErrorSource.USER)
    assert response.is_permanent
    assert path in response.message


def test_payload_nested_too_deeply_is_a_payload_error() -> None:
    """The recursion error does not reach the executor."""
    with pytest.raises(PayloadInvalidError, match="nested too deeply"):
        decode(on_anything, b"[" * 100_000 + b"]" * 100_000)


async def test_def_handler_runs_in_a_daemon_thread() -> None:
    """It does not block the event loop, and does not keep the process alive."""
    threads: list[threading.Thread] = []

    def handler(job: Job[Any]) -> None:
        threads.append(threading.current_thread())

    await make_handler("Item", "job", handler).call(make_job(None))

    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


@pytest.mark.parametrize("error", [ValueError("text"), StopIteration(), SystemExit(3)])
@pytest.mark.parametrize("is_async", [True, False])
async def test_anything_that_a_handler_raises_reaches_the_caller_as_an_exception(
    error: BaseException, is_async: bool
) -> None:
    """Also `StopIteration`, which a future refuses, and `SystemExit`, which ends an event loop."""

    def sync(job: Job[Any]) -> None:
        raise error

    async def asynchronous(job: Job[Any]) -> None:
        raise error

    with pytest.raises(Exception) as raised:  # noqa: PT011 - the assertion below compares it
        await make_handler("Item", "job", asynchronous if is_async else sync).call(make_job(None))

    assert error in (raised.value, raised.value.__cause__)


async def test_def_handler_that_returns_a_coroutine_raises_type_error() -> None:
    """Without this check, a `def` wrapper of an `async def` handler would complete jobs unrun."""

    @functools.wraps(on_anything)
    def wrapper(job: Job[Any]) -> object:
        return on_anything(job)

    with pytest.raises(TypeError, match="`async def` function behind a decorator that is not"):
        await make_handler("Item", "job", wrapper).call(make_job(None))


def test_include_adds_the_handlers_of_another_executor() -> None:
    """The jobs run as if the handlers were registered with the executor itself."""
    module, executor = Executor(), Executor()
    module.job("Item", "included")(on_forecast)
    executor.job("Item", "own")(on_forecast)

    executor.include(module)

    assert [*executor.handlers] == [("Item", "own"), ("Item", "included")]
    assert run_job(executor, "Item", "included", {"priority": "high"}).status == "Completed"


def test_include_of_a_second_handler_of_a_job_type_raises_and_names_both() -> None:
    """The author finds both functions by their modules."""
    module, executor = Executor(), Executor()
    module.job("Item", "job")(on_anything)
    executor.job("Item", "job")(on_forecast)

    with pytest.raises(HandlerDefinitionError, match=r"\.on_forecast\. .* is .*\.on_anything\."):
        executor.include(module)
    with pytest.raises(HandlerDefinitionError):
        executor.include(executor)


def test_include_of_an_executor_with_a_lifespan_raises() -> None:
    """The lifespan would silently not run."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    with pytest.raises(HandlerDefinitionError, match="has a lifespan"):
        Executor().include(Executor(lifespan=lifespan))


@pytest.mark.parametrize("is_async", [True, False])
def test_handler_that_returns_a_value_is_warned_of_once(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The job completes, and the warning names the function."""
    executor: Executor[Any] = Executor()

    async def returns_async(job: Job[Any]) -> int:
        return 1

    def returns(job: Job[Any]) -> int:
        return 1

    executor.job("Item", "job")(cast("Any", returns_async if is_async else returns))
    outcomes = [run_job(executor, "Item", "job").status for _ in range(2)]

    assert outcomes == ["Completed", "Completed"]
    assert caplog.text.count("returned a value of type int, which is dropped") == 1
    assert "returns" in caplog.text


def test_raise_if_cancelled_raises_job_stopped_after_a_cancel() -> None:
    """Before the cancel it does nothing."""
    executor = Executor()

    @executor.job("Item", "job")
    def handler(job: Job[Any]) -> None:
        for step in range(10):
            job.raise_if_cancelled()
            job.progress(step / 10)

    outcome = run_job(executor, "Item", "job", cancel_when=lambda progress: progress.fraction > 0.3)

    assert (outcome.status, len(outcome.progress)) == ("Cancelled", 5)


def returns_coroutine(job: Job[Any]) -> object:
    return on_anything(job)


def returns_generator(job: Job[Any]) -> object:
    return (number for number in range(3))


class Awaitable:
    def __await__(self) -> Iterator[None]:
        yield


def returns_awaitable(job: Job[Any]) -> object:
    return Awaitable()


async def async_returns_coroutine(job: Job[Any]) -> object:
    return on_anything(job)


async def async_returns_generator(job: Job[Any]) -> object:
    return (number for number in range(3))


async def async_returns_awaitable(job: Job[Any]) -> object:
    return Awaitable()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            returns_coroutine,
            "returned a coroutine, so its work was not done. Define the handler with `async def`",
        ),
        (returns_generator, "returned a generator, so its work was not done"),
        (returns_awaitable, "returned Awaitable, which nobody awaited. Define the handler"),
        (async_returns_coroutine, "returned a coroutine, so its work was not done. Await it"),
        (async_returns_generator, "returned a generator, so its work was not done"),
        (async_returns_awaitable, "returned Awaitable, which nobody awaited. Await it"),
    ],
)
async def test_handler_that_returns_work_raises_type_error_with_the_reason(
    function: Callable[[Job[Any]], object], reason: str
) -> None:
    """Otherwise the job would complete although nothing ran."""
    with pytest.raises(TypeError, match=reason):
        await make_handler("Item", "job", function).call(make_job(None))
