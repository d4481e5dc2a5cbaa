"""The span of an append: it begins with the hand-over to Kafka, and ends once it was read back."""

from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind

from fabric_jobs import tracing
from fabric_jobs.events import KnownEvent, Progressed, type_of


def appending(event: KnownEvent, topic: str, partition: int) -> AbstractContextManager[Span]:
    """Within the request or the entry that led to it; of what time led to, in the job's trace."""
    # A run may say every second, for a day, how far it is.
    if not tracing.is_on() or isinstance(event, Progressed):
        return tracing.NO_SPAN
    return tracing.span(
        f"append {type_of(event)}",
        SpanKind.PRODUCER,
        {
            "messaging.system": "kafka",
            "messaging.operation.name": "append",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
            "messaging.message.id": event.id,
            "fabric_jobs.job_id": event.subject,
            "fabric_jobs.attempt": event.data.state.attempt,
        },
        of=event.traceparent or None,
    )
