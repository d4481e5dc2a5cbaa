"""What can be a handler, and what its payload is decoded to."""

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest

from fabric_jobs.contract.jobs import ErrorSource
from fabric_jobs.executor import Executor, HandlerDefinitionError, Job, PayloadInvalidError
from fabric_jobs.executor.handlers import handler_of


class Forecast(msgspec.Struct):
    """A payload."""

    priority: str = "normal"
    region: dict[str, int] = {}


class Other(msgspec.Struct):
    """A payload that JSON can't tell from the first."""


def job(payload: object) -> Job[Any]:
    """A job, outside an executor."""
    return Job(
        payload=payload,
        job_id="id",
        attempt=1,
        item_type="Item",
        job_type="job",
        workspace_id="w",
        item_id="i",
        tenant_id="t",
    )


async def on_forecast(job: Job[Forecast]) -> None:
    """A handler with a payload type."""


async def on_anything(job: Job[Any]) -> None:
    """A handler of any payload."""


def decode(function: Callable[[Job[Any]], object], payload: bytes) -> object:
    """What the handler gets for the payload."""
    return handler_of("Item", "job", function).decode(payload)


async def test_a_decorated_function_stays_what_it_was() -> None:
    """A test calls it with a job of its own making."""
    executor = Executor()

    @executor.job("Item", "job")
    async def handler(job: Job[Forecast]) -> str:
        await job.progress(0.5, "half way")
        return job.payload.priority

    assert await handler(job(Forecast("high"))) == "high"


def test_a_job_type_has_one_handler_an_executor() -> None:
    """The second decoration raises and names the first; another executor is no matter."""
    executor = Executor()
    executor.job("Item", "job")(on_forecast)
    executor.job("Item", "other")(on_forecast)
    Executor().job("Item", "job")(on_forecast)

    with pytest.raises(HandlerDefinitionError, match="Item job has a handler: on_forecast"):
        executor.job("Item", "job")(on_anything)


def no_argument() -> None: ...
def two_arguments(job: Job[Any], more: int) -> None: ...
def keyword_only(*, job: Job[Any]) -> None: ...
def takes_the_payload(payload: Forecast) -> None: ...
def unresolvable(job: "Job[Missing]") -> None: ...  # type: ignore[name-defined] # noqa: F821
def not_decodable(job: Job[threading.Event]) -> None: ...
def ambiguous(job: Job[Forecast | Other]) -> None: ...
def generator(job: Job[Any]) -> Iterator[int]:
    yield 1


async def async_generator(job: Job[Any]) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (no_argument, "must take one argument"),
        (two_arguments, "must take one argument"),
        (keyword_only, "must take one argument"),
        (takes_the_payload, "must take a Job"),
        (unresolvable, "'Missing' is not defined"),
        (not_decodable, "JSON can't be decoded to"),
        (ambiguous, "must be tagged"),
        (generator, "can't yield"),
        (async_generator, "can't yield"),
        (functools.partial(two_arguments, more=1), "is no function"),
        (Forecast, "is no function"),
    ],
)
def test_an_unusable_handler_raises_at_decoration(
    function: Callable[[Job[Any]], object], why: str
) -> None:
    """Not when the first job comes."""
    with pytest.raises(HandlerDefinitionError, match=why):
        Executor().job("Item", "job")(function)


@pytest.mark.parametrize(("item_type", "job_type"), [("", "job"), ("Item", ""), (1, "job")])
def test_a_job_type_is_named_by_two_texts(item_type: Any, job_type: str) -> None:
    """Anything else raises at decoration."""
    with pytest.raises(HandlerDefinitionError, match="must be a text"):
        Executor().job(item_type, job_type)(on_anything)


@pytest.mark.parametrize("slots", [0, -1, 1.5, "2", True])
def test_slots_that_make_no_sense_raise_at_decoration(slots: Any) -> None:
    """A type that runs nowhere would leave its jobs waiting."""
    with pytest.raises(HandlerDefinitionError, match="on_anything: slots must be"):
        Executor().job("Item", "job", slots=slots)(on_anything)


def test_the_payload_is_decoded_to_the_annotated_type() -> None:
    """Unknown fields are ignored, so that a new caller can meet an old handler."""
    assert decode(on_forecast, b'{"priority": "high", "new": 1}') == Forecast("high")


@pytest.mark.parametrize("payload", [b"null", b"", b"{}"])
def test_an_absent_payload_is_an_empty_object(payload: bytes) -> None:
    """A handler whose fields have defaults needs none."""
    assert decode(on_forecast, payload) == Forecast()
    assert decode(on_anything, payload) == {}


def test_a_handler_without_a_payload_type_takes_any_json() -> None:
    """`Job`, `Job[Any]` and no annotation mean the same."""

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
def test_a_payload_of_another_type_is_the_callers_fault(payload: bytes, path: str) -> None:
    """Permanent, from the user, and the message names the path."""
    with pytest.raises(PayloadInvalidError) as raised:
        decode(on_forecast, payload)

    response = raised.value.response
    assert (response.error_code, response.source) == ("PayloadInvalid", ErrorSource.USER)
    assert response.is_permanent
    assert path in response.message


def test_a_payload_nested_too_deeply_is_the_callers_fault() -> None:
    """It ends no executor."""
    with pytest.raises(PayloadInvalidError, match="nested too deeply"):
        decode(on_anything, b"[" * 100_000 + b"]" * 100_000)


async def test_a_sync_handler_runs_in_a_thread() -> None:
    """The event loop is not held up."""
    threads: list[threading.Thread] = []

    def handler(job: Job[Any]) -> None:
        threads.append(threading.current_thread())

    await handler_of("Item", "job", handler).call(job(None))

    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


@pytest.mark.parametrize("error", [ValueError("text"), StopIteration(), SystemExit(3)])
@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_a_handler_raises_comes_back_as_an_exception(
    error: BaseException, is_async: bool
) -> None:
    """Also what would never resolve a future, or would end the event loop."""

    def sync(job: Job[Any]) -> None:
        raise error

    async def asynchronous(job: Job[Any]) -> None:
        raise error

    with pytest.raises(Exception) as raised:  # noqa: PT011 - any will do
        await handler_of("Item", "job", asynchronous if is_async else sync).call(job(None))

    assert error in (raised.value, raised.value.__cause__)


async def test_a_sync_function_that_returns_a_coroutine_fails() -> None:
    """A wrapper that is not `async` would otherwise complete each job without running it."""

    @functools.wraps(on_anything)
    def wrapper(job: Job[Any]) -> object:
        return on_anything(job)

    with pytest.raises(TypeError, match="async def"):
        await handler_of("Item", "job", wrapper).call(job(None))
