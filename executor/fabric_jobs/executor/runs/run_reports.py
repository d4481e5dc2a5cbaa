"""Sends the reports of one run, each with the run's ids and its grant."""

import logging
from collections.abc import Callable

from fabric_jobs.contract.jobs import Progress
from fabric_jobs.contract.wire import progress_to_proto
from fabric_jobs.executor.dispatch.dispatches import DispatchedAttempt
from fabric_jobs.executor.runs import spans
from fabric_jobs.executor.session.status_client import Accepted, Refused, StatusClient
from fabric_jobs.status.v1 import job_status_pb2 as pb

log = logging.getLogger("fabric_jobs.executor")


class RunReports:
    """The reports of a run whose claim was granted."""

    def __init__(
        self,
        client: StatusClient,
        dispatched: DispatchedAttempt,
        grant: pb.Record,
        on_lost: Callable[[], None],
    ) -> None:
        """`on_lost` is called when a refusal says that the run is no longer this executor's."""
        self._client = client
        self._dispatched = dispatched
        self._grant = grant
        self._on_lost = on_lost

    async def send_progress(self, progress: Progress) -> None:
        """Reports progress of the handler."""
        await self._send_interim(pb.Report(progress=progress_to_proto(progress)))

    async def send_checkpoint(self, checkpoint: bytes) -> None:
        """Reports a checkpoint of the handler, which is JSON."""
        await self._send_interim(pb.Report(checkpoint=checkpoint))

    async def send_end(self, report: pb.Report) -> None:
        """Sends the final report."""
        with spans.entry_span(report):
            answer = await self._send(report)
        if isinstance(answer, Refused):
            name = report.WhichOneof("outcome")
            log.warning("%s: %s refused: %s", self._dispatched, name, answer)

    async def _send_interim(self, report: pb.Report) -> None:
        name = report.WhichOneof("outcome")
        answer = await self._send(report)
        if isinstance(answer, Refused) and answer.reason != pb.REFUSAL_REASON_INVALID:
            log.warning("%s: ended, because its %s was refused: %s", self._dispatched, name, answer)
            self._on_lost()

    async def _send(self, report: pb.Report) -> Accepted | Refused:
        report.job_id = self._dispatched.job_id
        report.attempt = self._dispatched.attempt
        report.grant.CopyFrom(self._grant)
        return await self._client.report(report)
