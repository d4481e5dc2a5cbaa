"""Links to what other systems know of a job: its trace, and the log lines of an attempt."""

from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from fabric_jobs.facade.lifecycle import Job
from fabric_jobs.facade.monitor.formatting import format_iso_time
from fabric_jobs.runtime.telemetry.tracing import parse_traceparent


class Links(NamedTuple):
    """The addresses with placeholders; an empty one gives no links."""

    #: With `{trace_id}` in it.
    trace_url: str
    #: With `{job_id}` in it, and perhaps `{attempt}`, `{start}`, `{end}`, `{start_ms}`, `{end_ms}`.
    log_url: str

    def trace(self, trace_id: str) -> str:
        """Returns the address of a trace; empty without a template."""
        return self.trace_url.replace("{trace_id}", trace_id)

    def log(self, job: Job) -> str:
        """Returns the address of the log of the job's current attempt; empty without a template.

        The times are those from the attempt's start to its end, or to now.
        """
        state = job.state
        start = state.attempt_start_time or state.create_time
        end = max(start, state.end_time or datetime.now(UTC))
        values = {
            "job_id": job.job_id,
            "attempt": str(state.attempt),
            "start": format_iso_time(start),
            "end": format_iso_time(end),
            "start_ms": str(_milliseconds(start)),
            "end_ms": str(_milliseconds(end)),
        }
        url = self.log_url
        for name, value in values.items():
            url = url.replace(f"{{{name}}}", quote(value, safe=""))
        return url


def trace_id(traceparent: str | None) -> str:
    """Returns the trace id in a W3C `traceparent`; empty if there is none or it is malformed."""
    well_formed = parse_traceparent(traceparent or "")
    return well_formed.split("-")[1] if well_formed else ""


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
