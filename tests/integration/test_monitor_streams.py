"""The monitor's streams on a real socket: their number, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from msgspec import Struct

from fabric_jobs.facade.monitor import Monitor, MonitorAccess
from fabric_jobs.facade.monitor.live import MAX_VIEWERS
from tests.support.chromium import serve
from tests.support.monitor import FoldedJobs, make_monitor


class Here(Struct):
    """A monitor without tokens, and a client of it."""

    fold: FoldedJobs
    monitor: Monitor
    client: httpx.AsyncClient


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    """Runs a monitor without jobs."""
    fold = FoldedJobs()
    monitor, app = make_monitor(fold)
    limits = httpx.Limits(max_connections=MAX_VIEWERS + 8)
    async with (
        serve(app) as url,
        httpx.AsyncClient(base_url=f"{url}/monitor", limits=limits, timeout=10) as client,
    ):
        yield Here(fold, monitor, client)
        monitor.stop()


async def test_stream_sends_every_part_and_then_only_changed_parts(here: Here) -> None:
    """A sign of life follows the first parts."""
    job_id = here.fold.create()
    async with here.client.stream("GET", "/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        seen = _events(answer)
        assert [await anext(seen) for _ in range(4)] == ["warnings", "summary", "list", "alive"]
        here.fold.start(job_id)
        assert [await anext(seen) for _ in range(2)] in (["summary", "list"], ["list", "alive"])


async def test_stream_beyond_the_bound_of_viewers_is_refused_until_one_leaves(here: Here) -> None:
    """Pages are served without a stream meanwhile."""
    async with AsyncExitStack() as viewers:
        # Kept in a list, because a discarded generator closes its connection.
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


async def test_stream_of_a_stopping_facade_ends_and_no_new_one_starts(here: Here) -> None:
    """Browsers then reconnect to another replica."""
    async with here.client.stream("GET", "/live") as answer:
        seen = _events(answer)
        await anext(seen)
        here.monitor.stop()
        async with asyncio.timeout(10):
            assert [event async for event in seen][-1:] in ([], ["alive"])

    assert (await here.client.get("/live")).status_code == 503


async def test_stream_of_an_expired_session_ends(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facade ends it, although the connection still works."""
    async with here.client.stream("GET", "/executors/live") as answer:
        seen = _events(answer)
        while await anext(seen) != "alive":
            pass
        monkeypatch.setattr(MonitorAccess, "viewer", lambda *_: None)
        async with asyncio.timeout(10):
            assert [event async for event in seen] == []

    assert (await here.client.get("/executors/live")).status_code == 401


async def _events(answer: httpx.Response) -> AsyncIterator[str]:
    """Yields the names of the events as they arrive."""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            yield line.removeprefix("event: ")


async def _status(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/live") as answer:
        return answer.status_code
