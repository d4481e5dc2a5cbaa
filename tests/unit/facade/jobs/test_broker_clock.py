"""Creates while the clock of a partition's broker is wrong by days."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import JobLifetime
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.replica import Identity, Replica, Store
from tests.support.lifecycle import JOB, request
from tests.support.sealing import NO_SEALING

OTHER = "1f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"
MORE_THAN_RETENTION = JobLifetime().retention + timedelta(hours=1)


class ReadBackLog:
    """A log of one partition, whose records the replica reads at once."""

    partitions = 1
    topic = "events"

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._offset = 0
        #: How far the broker's clock is from the right time.
        self.skew = timedelta()

    async def append(
        self, partition: int, key: bytes, value: bytes, _: object
    ) -> asyncio.Future[object]:
        """Appends a record with the broker's time."""
        time_ms = int((datetime.now(UTC) + self.skew).timestamp() * 1000)
        record = Record(partition, self._offset, time_ms, value, key)
        self._offset += 1
        self._replica.apply([record], {partition: self._offset})
        return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("before", "then"),
    [(timedelta(), -MORE_THAN_RETENTION), (MORE_THAN_RETENTION, timedelta())],
    ids=["behind", "was ahead"],
)
async def test_create_whose_record_seems_too_old_is_not_accepted(
    before: timedelta, then: timedelta
) -> None:
    """Every replica has forgotten the job by the time of its partition, so nobody can run it."""
    store = Store(None)
    store.adopt(Identity(cluster_id="c", topic="t", partitions=1))
    replica = Replica(store, 1)
    log: Any = ReadBackLog(replica)
    jobs = Jobs(log, replica, "/test", 60.0, NO_SEALING)
    log.skew = before
    await jobs.execute(request(OTHER))
    log.skew = then
    with pytest.raises(UnavailableError, match="clock of a broker") as raised:
        await jobs.execute(request())
    assert raised.value.reason is UnavailableReason.CLOCK_WRONG
    log.skew = before

    assert (await jobs.execute(request())).job == (await jobs.execute(request())).job
    assert replica.get(JOB)
    store.close()
