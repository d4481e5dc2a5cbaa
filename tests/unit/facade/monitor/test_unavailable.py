"""The monitor while the log or the state file can't be read."""

import inspect
from typing import Any

import pytest

from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.monitor import PATH
from fabric_jobs.facade.monitor.live import LiveUpdates
from fabric_jobs.facade.monitor.pages import ExecutorsPage, MonitorData
from fabric_jobs.facade.replica import Replica, StateDamagedError
from tests.support.monitor import FixedHealth, FoldedJobs, browser_client, make_monitor
from tests.support.sealing import NO_SEALING

#: The requests whose answers need no replica.
OTHER = ("/sign-in", "/sign-out", "/static", "/bulk-runs")


def break_replica(fold: FoldedJobs, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Makes every query of the replica raise the error."""

    async def fail(*_: object, **__: object) -> None:
        raise error

    def fail_at_once(*_: object) -> None:
        raise error

    for name, method in inspect.getmembers(Replica, inspect.iscoroutinefunction):
        assert callable(method)
        monkeypatch.setattr(fold.replica, name, fail)
    for name in ("get", "held_runs"):
        monkeypatch.setattr(fold.replica, name, fail_at_once)


@pytest.mark.parametrize("error", [LogUnavailableError("Away."), StateDamagedError("Damaged.")])
async def test_every_page_without_a_usable_replica_is_503(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The pages come from the application's routes, so that none is forgotten."""
    fold = FoldedJobs()
    job_id = fold.create()
    break_replica(fold, monkeypatch, error)
    monitor, app = make_monitor(fold)
    statuses = {}
    async with browser_client(app) as client:
        for route in monitor.app.routes:
            path = route.path.replace("{job_id:str}", job_id).replace("{action:str}", "cancel")
            own = path.removeprefix(PATH)
            if own.startswith(OTHER) or own.endswith("/live") or "GET" not in route.methods:
                continue
            answer = await client.get(path, params={"id": job_id[:6]})
            statuses[path] = answer.status_code

    assert len(statuses) > 6
    assert {path: status for path, status in statuses.items() if status != 503} == {}


async def test_stream_without_a_usable_replica_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser connects again after a moment; nothing is logged as a fault."""
    fold = FoldedJobs()
    break_replica(fold, monkeypatch, StateDamagedError("Damaged."))
    data = MonitorData(fold.replica, fold.roster, fold.job_types, FixedHealth(), NO_SEALING)
    live = LiveUpdates(fold.replica, lambda name, content: name)
    messages: list[Any] = [
        message async for message in live.stream(ExecutorsPage(data, ""), lambda: True)
    ]

    assert messages == []
