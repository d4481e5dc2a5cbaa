"""The gauges: values that are read every few seconds from the replica, the log and the roster."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade import metrics
from fabric_jobs.facade.controls import Controls
from fabric_jobs.facade.lifecycle import Verdict
from fabric_jobs.facade.log import Log
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.on_behalf_of import Grants
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster

#: Seconds between two readings. Scrapes cause no reading, so they cannot load the replica.
TICK_S = 5.0
_UNFINISHED = (JobInstanceStatus.NOT_STARTED, JobInstanceStatus.IN_PROGRESS)
_VERDICTS = (*(verdict.value for verdict in Verdict), "remnant")


class Gauges:
    """Sets the gauges."""

    def __init__(
        self,
        log: Log,
        beats: Log,
        replica: Replica,
        roster: Roster,
        controls: Controls,
        health: ReplicaHealth,
        find_unusable: Callable[[], Mapping[str, bool]],
        find_life_left: Callable[[], Mapping[str, float]],
        grants: Grants | None = None,
    ) -> None:
        """`find_unusable` says whose certificate files can't be used.

        `find_life_left` says of each such file which part of its validity is left. Both may block.
        """
        self._log = log
        self._replica = replica
        self._roster = roster
        self._controls = controls
        self._poison = {
            "events": replica.poison,
            "heartbeats": roster.poison,
            "controls": controls.poison,
        }
        #: The readers of the topics whose records have codes.
        self._verified: dict[str, Log | Grants] = {"events": log, "heartbeats": beats}
        if grants:
            self._poison["grants"] = grants.poison
            self._verified["grants"] = grants
        self._health = health
        self._find_unusable = find_unusable
        self._find_life_left = find_life_left
        self._queued: Counter[str] = Counter()

    async def run(self) -> None:
        """Sets the gauges every `TICK_S` seconds until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """Sets every gauge once."""
        backlog = await self._replica.backlog()
        for status in _UNFINISHED:
            metrics.UNFINISHED_JOBS.set(backlog.by_status[status], status)
        since, now = backlog.not_started_since, self._roster.clock.now()
        age_s = (now - since).total_seconds() if since else 0.0
        metrics.OLDEST_NOT_STARTED_SECONDS.set(max(0.0, age_s))
        self._set_queued(backlog.queued)
        # A record that Kafka acknowledged and lost is a fork, too.
        counts = self._replica.counts + Counter(forked=self._log.lost_records)
        for verdict in _VERDICTS:
            metrics.RECORDS.set(counts[verdict], verdict)
        for topic, log in self._verified.items():
            metrics.REFUSED_RECORDS.set(log.refused_records, topic)
        for topic, poison in self._poison.items():
            metrics.POISON_RECORDS.set(poison.count, topic)
        metrics.FOLD_LAG_SECONDS.set(self._log.lag_s)
        executors = [last.heartbeat for last in self._roster.executors()]
        metrics.EXECUTORS.set(len(executors))
        metrics.FREE_SLOTS.set(sum(executor.free_slots for executor in executors))
        metrics.LONGEST_LIFE_SECONDS.set(self._replica.lifetime.longest.total_seconds())
        metrics.READY.set(int(self._health.ready()))
        for use, unusable in (await asyncio.to_thread(self._find_unusable)).items():
            metrics.CERTIFICATES_UNUSABLE.set(int(unusable), use)
        for setting, left in (await asyncio.to_thread(self._find_life_left)).items():
            metrics.CERTIFICATE_LIFE_LEFT.set(left, setting)

    def _set_queued(self, queued: Counter[JobKind]) -> None:
        # A job type whose last job has left the queue must be set to 0.
        labelled = Counter(dict.fromkeys(self._queued, 0))
        for kind, count in queued.items():
            # Executors are scaled by this gauge, and more executors start no job of a paused type.
            if kind not in self._controls.paused:
                labelled[metrics.job_type_label(kind.job_type)] += count
        for job_type, count in labelled.items():
            metrics.QUEUED_JOBS.set(count, job_type)
        self._queued = labelled
