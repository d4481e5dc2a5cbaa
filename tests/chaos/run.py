"""One run: start a cluster, make traffic and faults, and judge what happened."""

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

from fabric_jobs.facade.log import Record
from tests.chaos import replicas
from tests.chaos.availability import Window
from tests.chaos.client import Client
from tests.chaos.cluster import TOPIC, Cluster
from tests.chaos.evidence import Evidence
from tests.chaos.failpoints import Failpoint, Fault, schedule
from tests.chaos.health import NotRecoveredError, healthy
from tests.chaos.history import History, read_journal
from tests.chaos.model import Model
from tests.chaos.report import Report
from tests.chaos.topic import read_topic
from tests.chaos.traffic import Traffic
from tests.chaos.validate import validate

#: Seconds for all jobs to end after the last fault. A cancelled run has a grace of one minute;
#: a lost one has a lease.
SETTLE_S = 120.0

#: What a facade logs when it raises the alert of a fork. No fault of a run loses records for good.
FORK_ALERT = "the log is forked"


class Run:
    """One run in a folder."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        seconds: float,
        failpoints: list[Failpoint],
        known_bug: str = "",
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._seconds = seconds
        self._failpoints = failpoints
        self._cluster = Cluster(folder, known_bug)
        self._history = History()
        self._windows: list[Window] = []
        self._not_recovered: list[str] = []
        self.records: list[Record] = []

    async def run(self) -> Report:
        """Inject faults, wait for the jobs to end, read the topic and judge.

        Raises `AssumptionError`.
        """
        async with self._cluster.running() as cluster:
            urls = [facade.url for facade in cluster.facades]
            async with Client(urls, self._history) as client:
                traffic = Traffic(client, len(urls))
                making = asyncio.create_task(traffic.run(self._seed), name="traffic")
                try:
                    await self._disturb(traffic)
                finally:
                    making.cancel()
                    with suppress(asyncio.CancelledError):
                        await making
                _say("waiting for the jobs to end")
                left = await traffic.settle(SETTLE_S)
                _say(f"{left} jobs did not end in time; polling every job once more")
                await traffic.poll_all(list(self._history.accepted), self._seed)
            await cluster.retire()
            _say("reading the topic")
            self.records = await read_topic(cluster.kafka.bootstrap_servers, TOPIC)
        return self._judge()

    async def _disturb(self, traffic: Traffic) -> None:
        until = time.monotonic() + self._seconds
        try:
            await healthy(self._cluster, traffic)
            for fault in schedule(self._seed, self._failpoints):
                if time.monotonic() >= until:
                    return
                await self._inject(fault, traffic)
        except NotRecoveredError as error:
            self._not_recovered.append(f"stopped injecting faults: {error}")

    async def _inject(self, fault: Fault, traffic: Traffic) -> None:
        """Injects a fault, and waits for the cluster to be healthy.

        A cluster that does not recover in time gets as much time again. Raises `NotRecoveredError`
        if that is not enough.
        """
        window = Window(fault.kind, fault.name, fault.disturbs_log, time.monotonic())
        self._windows.append(window)
        await fault.inject(self._cluster)
        window.undone = time.monotonic()
        try:
            await healthy(self._cluster, traffic)
        except NotRecoveredError as error:
            self._not_recovered.append(f"after {fault.name}: {error}")
            await healthy(self._cluster, traffic)
        finally:
            window.healthy = time.monotonic()
        seconds = window.healthy - window.injected
        _say(f"{fault.name}: {seconds:.1f} s until the cluster was healthy")

    def _judge(self) -> Report:
        _say("validating")
        model = Model()
        for record in self.records:
            model.read(record.partition, record.offset, record.value)
        programs = [one.program for one in self._cluster.executors]
        evidence = Evidence(
            self._history,
            [line for one in self._cluster.executors for line in read_journal(one.journal)],
            model,
            {
                pid: ready["executor_id"]
                for program in programs
                for pid, ready in program.processes.items()
            },
            self._log_away(),
        )
        scratch = self._folder / "fold.sqlite"
        differences = [
            difference
            for facade in self._cluster.facades
            for difference in replicas.differences(facade.state_dir, self.records, scratch)
        ]
        differences += replicas.disagreements(model, self.records, scratch)
        breaches = validate(evidence) | {
            "replica_differences": differences,
            "not_recovered": self._not_recovered,
            "ended_by_itself": [
                complaint for one in self._cluster.programs for complaint in one.complaints
            ],
            "false_alerts": [
                f"{one.program.name}: {line}"
                for one in self._cluster.facades
                for line in one.program.logged(FORK_ALERT)
            ],
        }
        return Report(self._seed, self._seconds, evidence, self._windows, breaches)

    def _log_away(self) -> list[tuple[float, float]]:
        return [(one.injected, one.healthy) for one in self._windows if one.disturbs_log]


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)
