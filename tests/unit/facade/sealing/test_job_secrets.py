"""A job's life with sealed secrets: what is written and opened, and what a missing key stops."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.contract.errors import (
    ErrorExtendedInformation,
    ErrorResponse,
    ErrorSource,
    NameValuePair,
)
from fabric_jobs.contract.jobs import Policy, Progress
from fabric_jobs.facade.lifecycle import (
    Claim,
    Command,
    HandBack,
    Job,
    Refusal,
    ReportFailed,
    ReportProgress,
    Retry,
    SaveCheckpoint,
    Sealed,
    Settled,
    Verdict,
    decide,
    fold,
)
from fabric_jobs.facade.sealing import JobSecrets, SealedError, UnknownKeyError
from fabric_jobs.facade.sealing.events import sealed_texts
from tests.support.lifecycle import JOB, A, claim, request, stamp
from tests.support.sealing import NEW_KEY, NO_SEALING, OLD_KEY, sealing

SECRET = "s3cr3t"
ERROR = ErrorResponse(
    error_code="HandlerError",
    message=f"no {SECRET}",
    source=ErrorSource.USER,
    message_parameters=(SECRET,),
    more_details=(
        ErrorExtendedInformation(
            error_code="Detail",
            message=SECRET,
            additional_parameters=(NameValuePair("table", SECRET),),
        ),
    ),
)
REQUEST = replace(
    request(),
    payload=json.dumps({"rows": SECRET}).encode(),
    definition=json.dumps({"parts": [{"path": SECRET}]}).encode(),
)


class Life:
    """A job, whose events are written by the facades with these secrets in turn."""

    def __init__(self, *facades: JobSecrets) -> None:
        self._facades = facades or (sealing(),)
        self.job: Job | None = None
        self.values: list[bytes] = []

    def do(self, command: Command) -> Any:
        """Decides a command, and folds its event from the bytes on the topic."""
        secrets = self._facades[len(self.values) % len(self._facades)]
        prepared, job = secrets.prepare(command, self.job)
        number = len(self.values) + 1
        decision = decide(job, prepared, stamp(f"e{number}", number))
        if isinstance(decision, events.KnownEvent):
            value = events.encode(secrets.seal(decision))
            self.values.append(value)
            verdict, self.job = fold(self.job, events.decode(value))
            assert verdict is Verdict.APPLIED
        return decision

    def fail_twice(self) -> Job:
        """A job that saved a checkpoint, failed, was handed back, and failed again."""
        run: dict[str, Any] = {"job_id": JOB, "executor_id": A}
        self.do(REQUEST)
        self.do(replace(claim(1, A, "e1"), policy=Policy(max_attempts=2)))
        self.do(ReportProgress(**run, attempt=1, progress=Progress(0.5, SECRET)))
        self.do(SaveCheckpoint(**run, attempt=1, checkpoint=b'"%s"' % SECRET.encode()))
        failed: dict[str, Any] = {
            "error": ERROR,
            "traceback": f"Error: {SECRET}",
            "log_tail": f"log {SECRET}",
        }
        self.do(ReportFailed(**run, attempt=1, **failed))
        self.do(Retry(job_id=JOB, attempt=1))
        assert self.job
        self.do(claim(2, A, self.job.dispatch_id))
        self.do(HandBack(**run, attempt=2))
        again = Claim(
            job_id=JOB,
            attempt=3,
            executor_id=A,
            dispatch_id=self.job.dispatch_id,
            policy=Policy(max_attempts=2),
        )
        self.do(again)
        self.do(ReportFailed(**run, attempt=3, **failed))
        return self.job


def test_life_with_a_ring_shows_no_secret_on_the_topic_and_not_in_the_replicas_row() -> None:
    """Failures, a retry, a checkpoint, progress, tracebacks and log lines are all sealed."""
    life = Life()
    job = life.fail_twice()

    assert len(life.values) == 10
    assert not [value for value in life.values if SECRET.encode() in value]
    assert SECRET.encode() not in msgspec.msgpack.encode(job)
    assert {text.split(":")[1] for v in life.values for text in sealed_texts(events.decode(v))} == {
        "old"
    }


def test_sealed_life_opened_equals_the_clear_life() -> None:
    """Whoever may read the job sees what would be there without sealing."""
    clear, sealed, secrets = Life(NO_SEALING), Life(), sealing()
    expected, job = clear.fail_twice(), secrets.reveal(sealed.fail_twice())

    assert job.missing_key_id == ""
    assert job.job.state.error == expected.state.error
    assert job.job.state.progress == expected.state.progress
    assert job.job.log_tail == expected.log_tail == f"log {SECRET}"
    content = secrets.content(job.job)
    assert (content.payload, content.definition) == (REQUEST.payload, REQUEST.definition)
    for value, expected_value in zip(sealed.values, clear.values, strict=True):
        opened = secrets.reveal_event(events.decode(value)).data
        wanted = events.decode(expected_value).data
        for name in ("traceback", "log_tail", "checkpoint", "error"):
            assert getattr(opened, name, None) == getattr(wanted, name, None)
        assert opened.state.error == wanted.state.error


def test_sealed_text_is_carried_unchanged_by_later_events() -> None:
    """No later event needs a key: also a facade without any goes on with the job."""
    life = Life(sealing(), NO_SEALING)
    life.do(REQUEST)
    life.do(claim(1, A, "e1"))
    requested, _ = map(events.decode, life.values)
    life.do(HandBack(job_id=JOB, executor_id=A, attempt=1))
    requeued = events.decode(life.values[2])

    assert requested.data.dispatch
    assert requeued.data.dispatch == requested.data.dispatch


def test_job_that_was_clear_is_sealed_from_the_first_event_of_a_facade_with_a_ring() -> None:
    """A ring is introduced while jobs run; what was clear before stays readable."""
    life, secrets = Life(NO_SEALING, sealing()), sealing()
    life.do(REQUEST)
    assert isinstance(life.job, Job)
    assert life.job.payload == REQUEST.payload
    life.do(claim(1, A, "e1"))
    life._facades = (secrets,)
    life.do(HandBack(job_id=JOB, executor_id=A, attempt=1))

    assert isinstance(life.job.payload, Sealed)
    assert secrets.content(life.job).payload == REQUEST.payload
    assert life.do(REQUEST) == Settled(life.job)


def test_repeated_create_after_a_rotation_is_the_same_and_another_content_conflicts() -> None:
    """The keyed hash names its key, which the ring still has."""
    life = Life()
    life.do(REQUEST)
    assert life.job
    assert life.job.state.request_hash.startswith("old:")
    life._facades = (sealing(NEW_KEY, OLD_KEY),)

    assert life.do(REQUEST) == Settled(life.job)
    assert isinstance(life.do(replace(REQUEST, request_hash="0" * 64)), Refusal)
    life._facades = (sealing(NEW_KEY),)
    with pytest.raises(UnknownKeyError, match="the key old"):
        life.do(REQUEST)


@pytest.mark.parametrize(
    "report",
    [
        ReportProgress(job_id=JOB, attempt=1, executor_id=A, progress=Progress(0.5, SECRET)),
        SaveCheckpoint(job_id=JOB, attempt=1, executor_id=A, checkpoint=b"[1]"),
    ],
)
def test_repeated_report_appends_nothing_unless_its_key_is_missing(report: Command) -> None:
    """The earlier value is opened for the comparison.

    Without the key, one more event is written, whose value is the same.
    """
    life = Life()
    life.do(REQUEST)
    life.do(claim(1, A, "e1"))
    life.do(report)
    assert isinstance(life.do(report), Settled)
    life._facades = (sealing(NEW_KEY),)
    assert isinstance(life.do(report), events.KnownEvent)


def test_missing_key_leaves_the_rest_of_the_job_readable() -> None:
    """Each sealed text gives way to a sentence that names the key, and codes stay."""
    life, other = Life(), sealing(NEW_KEY)
    revealed = other.reveal(life.fail_twice())
    job = revealed.job
    assert revealed.missing_key_id == "old"
    assert job.state.error
    sentence = "The text is sealed. It is sealed with the key old, which this facade does not have."
    assert (job.state.error.error_code, job.state.error.message) == ("HandlerError", sentence)
    assert job.state.error.is_permanent is ERROR.is_permanent
    assert job.log_tail == sentence
    with pytest.raises(SealedError, match="the key old"):
        other.content(job)
    for value in life.values:
        other.reveal_event(events.decode(value))


def test_job_without_a_failure_names_the_missing_key_of_its_payload() -> None:
    """A list shows it, although it opens no payload."""
    life = Life()
    life.do(REQUEST)
    assert life.job
    assert sealing(NEW_KEY).reveal(life.job).missing_key_id == "old"
    assert NO_SEALING.reveal(life.job).missing_key_id == "old"


def test_secret_of_another_job_is_damaged_and_not_shown() -> None:
    """Nobody can have a facade open a text that was copied into a job of another tenant."""
    life, secrets = Life(), sealing()
    job = life.fail_twice()
    stolen = replace(job, state=replace(job.state, tenant_id="another tenant"))
    revealed = secrets.reveal(stolen)

    assert SECRET not in str(revealed)
    assert revealed.missing_key_id == ""
    with pytest.raises(SealedError, match="not sealed for this place"):
        secrets.content(stolen)


def test_facade_that_only_opens_seals_nothing() -> None:
    """Such facades run until every facade has the keys."""
    life = Life(sealing(seals=False))
    life.do(REQUEST)
    assert life.job
    assert life.job.payload == REQUEST.payload
    assert life.job.state.request_hash == REQUEST.request_hash


def test_largest_error_sealed_is_within_the_bounds_of_an_event() -> None:
    """Each text and list has its largest size, in characters of four bytes."""
    wide = "\N{GRINNING FACE}" * 3000
    details = tuple(
        ErrorExtendedInformation(error_code="x" * 128, message=wide, message_parameters=(wide,))
        for _ in range(16)
    )
    error = replace(ERROR, message=wide, message_parameters=(wide,) * 16, more_details=details)
    life = Life()
    life.do(REQUEST)
    life.do(replace(claim(1, A, "e1"), policy=Policy(max_attempts=9, initial_backoff_s=0)))
    run: dict[str, Any] = {"job_id": JOB, "executor_id": A, "traceback": wide, "log_tail": wide}
    for attempt in range(1, 5):
        life.do(ReportFailed(attempt=attempt, error=error, **run))
        assert len(life.values[-1]) < 120 * 1024
        life.do(Retry(job_id=JOB, attempt=attempt))
        assert life.job
        life.do(replace(claim(attempt + 1, A, life.job.dispatch_id), policy=Policy(max_attempts=9)))
    assert life.job
    assert sealing().reveal(life.job).missing_key_id == ""
