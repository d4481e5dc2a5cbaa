"""The monitor's streams on a real socket: how many there are, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from msgspec import Struct

from fabric_jobs.facade.monitor import Monitor, MonitorAccess
from fabric_jobs.facade.monitor.live import MAX_VIEWERS
from tests.support.chromium import served
from tests.support.monitor import Fold, monitor


class Here(Struct):
    """A monitor that is open to this machine, and a client of it."""

    fold: Fold
    monitor: Monitor
    client: httpx.AsyncClient


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    """With no job."""
    fold = Fold()
    made, app = monitor(fold)
    limits = httpx.Limits(max_connections=MAX_VIEWERS + 8)
    async with (
        served(app) as url,
        httpx.AsyncClient(base_url=f"{url}/monitor", limits=limits, timeout=10) as client,
    ):
        yield Here(fold, made, client)
        made.stop()


async def test_a_viewer_is_sent_everything_and_then_what_changes(here: Here) -> None:
    """Each part once, then a sign of life; then only the part that changed."""
    job_id = here.fold.create()
    async with here.client.stream("GET", "/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        seen = _events(answer)
        assert [await anext(seen) for _ in range(4)] == ["doubts", "summary", "list", "alive"]
        here.fold.start(job_id)
        assert [await anext(seen) for _ in range(2)] in (["summary", "list"], ["list", "alive"])


async def test_there_are_so_many_viewers_and_then_no_more(here: Here) -> None:
    """One that goes makes room for another; a page is shown all the same."""
    async with AsyncExitStack() as viewers:
        # Held: a reader that nobody holds is closed, and its connection with it.
        seen = []
        for _ in range(MAX_VIEWERS):
            answer = await viewers.enter_async_context(here.client.stream("GET", "/live"))
            seen.append(_events(answer))
            await anext(seen[-1])
        assert await _status(here.client) == 503
        assert (await here.client.get("")).status_code == 200
    async with asyncio.timeout(10):
        while (await _status(here.client)) == 503:
            await asyncio.sleep(0.05)


async def test_a_stopping_facade_ends_the_streams_and_begins_none(here: Here) -> None:
    """From its side: who looks goes to another replica."""
    async with here.client.stream("GET", "/live") as answer:
        seen = _events(answer)
        await anext(seen)
        here.monitor.stop()
        async with asyncio.timeout(10):
            assert [event async for event in seen][-1:] in ([], ["alive"])

    assert (await here.client.get("/live")).status_code == 503


async def test_a_stream_ends_with_the_sign_in(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the connection would last."""
    async with here.client.stream("GET", "/executors/live") as answer:
        seen = _events(answer)
        while await anext(seen) != "alive":
            pass
        monkeypatch.setattr(MonitorAccess, "role", lambda *_: None)
        async with asyncio.timeout(10):
            assert [event async for event in seen] == []

    assert (await here.client.get("/executors/live")).status_code == 401


async def _events(answer: httpx.Response) -> AsyncIterator[str]:
    """The names of the events, as they come."""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            yield line.removeprefix("event: ")


async def _status(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/live") as answer:
        return answer.status_code
