"""What a command or a read raises: it was refused for good, or can't be answered now."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from fabric_jobs.facade import metrics
from fabric_jobs.facade.lifecycle import Refusal
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica import StateError
from fabric_jobs.facade.sealing import SealedError


class RefusedError(Exception):
    """The job's state rules the command out; sending the same command again cannot help."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.reason = refusal.reason


class UnavailableReason(StrEnum):
    """Why a facade can't answer now; callers over HTTP and gRPC and the metric get these words."""

    #: Kafka did not answer in time: the log's end was not read, or an event was not appended.
    LOG_UNREACHABLE = "LOG_UNREACHABLE"
    #: An event of the job was handed to Kafka and was not applied here: it may still take effect.
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    #: As many commands are in progress as this replica accepts, in all or for the job.
    OVERLOADED = "OVERLOADED"
    #: A later version of the facade wrote the job's last event; this version can't decide on it.
    NEWER_VERSION = "NEWER_VERSION"
    #: Other writers changed the job each time this replica had decided.
    CONTENDED = "CONTENDED"
    #: This facade's state file can't be used; the facade rebuilds it or ends.
    STATE_UNUSABLE = "STATE_UNUSABLE"
    #: The job's content is sealed with a key that this facade does not have, or is damaged; for a
    #: retry, a repeated create, and a claim that is granted already.
    SEALED = "SEALED"
    #: This machine's clock is known to differ from the broker's, or both are or were wrong by days;
    #: for creates only. While the broker's clock is over a day ahead, for every event.
    CLOCK_WRONG = "CLOCK_WRONG"
    #: This facade's longest life of a job is not that of the service; for creates only.
    LONGEST_LIFE_DIFFERS = "LONGEST_LIFE_DIFFERS"
    #: The authority is away or throttles: it gives no keys that verify Fabric's tokens, or no
    #: token.
    AUTHORITY_UNREACHABLE = "AUTHORITY_UNREACHABLE"
    #: The authority refuses this facade's client secret, certificate or scope, so that a user's
    #: token can't be exchanged.
    EXCHANGE_REFUSED = "EXCHANGE_REFUSED"


# Prometheus sees a counter grow only if its series was there before.
for _reason in UnavailableReason:
    metrics.UNAVAILABLE.add(0, _reason)


class UnavailableError(Exception):
    """A facade can't answer now. Sending the same command again is safe, and may help."""

    def __init__(self, reason: UnavailableReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        #: Whether the metric has counted this error.
        self.is_counted = False


def as_unavailable(error: Exception) -> UnavailableError | None:
    """The `UnavailableError` of an error of the log or the state file; None for any other error.

    Each error is counted by its reason once, however often it is passed on.
    """
    match error:
        case UnavailableError():
            unavailable = error
        case LogUnavailableError():
            unavailable = UnavailableError(UnavailableReason.LOG_UNREACHABLE, str(error))
        case StateError():
            unavailable = UnavailableError(
                UnavailableReason.STATE_UNUSABLE, "This facade's state file can't be used now."
            )
        case _:
            return None
    if not unavailable.is_counted:
        unavailable.is_counted = True
        metrics.UNAVAILABLE.add(1, unavailable.reason)
    return unavailable


@contextmanager
def map_log_errors() -> Iterator[None]:
    """Raises the `UnavailableError` of an error of the log or the state file."""
    try:
        yield
    except Exception as error:
        unavailable = as_unavailable(error)
        if unavailable is None or unavailable is error:
            raise
        raise unavailable from error


def sealed_error(error: SealedError) -> UnavailableError:
    """The error of a command that needs a secret which this facade can't open."""
    return UnavailableError(UnavailableReason.SEALED, f"The job's content can't be opened. {error}")
