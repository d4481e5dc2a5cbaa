"""Drives the service of `model_service.py` at random, and checks its invariants at every step."""

import json
from collections.abc import Callable
from datetime import datetime

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.contract.failures import (
    DEFAULT_LONGEST_LIFE,
    MAX_LONGEST_LIFE,
    MIN_LONGEST_LIFE,
)
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import JobInstanceStatus, JobPhase, Policy, Progress
from fabric_jobs.facade.lifecycle import (
    Command,
    Expire,
    FailUnstarted,
    ForceCancel,
    HandBack,
    LoseLease,
    Reason,
    Refusal,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStopped,
    RequestCancel,
    RequestRetry,
    Retry,
    SaveCheckpoint,
    TimeOutRun,
    decide,
)
from tests.support.lifecycle import at as time_at
from tests.support.lifecycle import claim, failure, request, stamp
from tests.unit.facade.lifecycle.model_service import (
    EXECUTORS,
    JOBS,
    Fate,
    Run,
    Service,
    without_version,
)

POLICIES = tuple(Policy(max_attempts=n, initial_backoff_s=0, jitter=0) for n in (3, 99, 99))
ENDS = (ReportCompleted, ReportCompleted, ReportFailed, ReportStopped, HandBack)
FATES = st.sampled_from([Fate.READ, *(fate for fate in Fate if fate is not Fate.NEW_TYPE)])
PROGRESS_FATES = st.sampled_from([*Fate, Fate.NEW_TYPE])
NOTHING = frozenset[JobKind]()
PAUSED = frozenset({JobKind(request().item_type, request().job_type)})


#: The longest life of a job in each replica.
LONGEST_LIVES = (MIN_LONGEST_LIFE, DEFAULT_LONGEST_LIFE, MAX_LONGEST_LIFE)


class Machine(Service):
    """The rules and invariants of the service; Hypothesis applies the rules in random order."""

    # Actions of Fabric and of executors.

    @initialize()
    def begin(self) -> None:
        """The first job exists; the second may be created later."""
        self.ask(1, request(JOBS[0]), Fate.READ)

    @rule(
        at=st.integers(0, 2),
        job=st.integers(0, 1),
        executor=st.sampled_from(EXECUTORS),
        policy=st.sampled_from(POLICIES),
        turn=st.sampled_from(("lost", "saved and lost", "saved and lost", "failed", "failed")),
    )
    def work(self, at: int, job: int, executor: str, policy: Policy, turn: str) -> None:
        """Without any fault, a replica that is up to date takes the job one step further.

        The other rules alone reach a resumed or an exhausted job too rarely: a few calls of this
        one do. `turn` says what becomes of a run that was granted.
        """
        replica = self.replicas[at]
        self.read_to(replica, len(self.log))
        found = replica.jobs.get(JOBS[job])
        if found is None:
            self.ask(at, request(JOBS[job]), Fate.READ)
        elif found.state.phase is JobPhase.QUEUED:
            attempt, record = found.state.attempt, found.dispatch_id
            self.ask(at, claim(attempt, executor, record, JOBS[job], policy), Fate.READ)
        else:
            attempt = found.state.attempt
            granted = self.grants.get((JOBS[job], attempt))
            if granted and found.state.phase is JobPhase.RUNNING and turn != "lost":
                run = JOBS[job], attempt, granted
                if turn == "failed":
                    self.report_end(at, run, ReportFailed, time_at(self.ids - 2), Fate.READ)
                    return
                self.save(at, run, 0, Fate.READ)
            self.timer(at, job, Fate.READ)

    @rule(
        at=st.integers(0, 2),
        job=st.integers(0, 1),
        wish=st.sampled_from(("hash-1", "hash-1", "hash-2", "cancel", "again")),
        fate=FATES,
    )
    def wish(self, at: int, job: int, wish: str, fate: Fate) -> None:
        """Somebody creates a job, perhaps with other content, or cancels it, or retries it."""
        others: dict[str, Command] = {
            "cancel": RequestCancel(job_id=JOBS[job]),
            "again": RequestRetry(job_id=JOBS[job]),
        }
        self.ask(at, others.get(wish) or request(JOBS[job], wish), fate)

    @precondition(lambda self: self.dispatches)
    @rule(
        at=st.integers(0, 2),
        record=st.integers(0, 9),
        executor=st.sampled_from(EXECUTORS),
        policy=st.sampled_from(POLICIES),
        paused=st.sampled_from((*[NOTHING] * 7, PAUSED)),
        fate=FATES,
    )
    def claim(
        self,
        at: int,
        record: int,
        executor: str,
        policy: Policy,
        paused: frozenset[JobKind],
        fate: Fate,
    ) -> None:
        """An executor claims a dispatching record of the log, more often a recent one."""
        job_id, attempt, event_id = self.dispatches[-1 - record % len(self.dispatches)]
        claimed = claim(attempt, executor, event_id, job_id, policy)
        self.ask(at, replace(claimed, paused=paused), fate)

    @precondition(lambda self: self.grants)
    @rule(
        at=st.integers(0, 2),
        run=st.integers(0, 9),
        end=st.sampled_from(ENDS),
        permanent=st.sampled_from((*[False] * 7, True)),
        fate=FATES,
    )
    def end(
        self,
        at: int,
        run: int,
        end: Callable[..., Command],
        permanent: bool,
        fate: Fate,
    ) -> None:
        """A granted run ends in one way, and reports it to any replica, any number of times."""
        job_id, attempt, executor = self.run(run)
        self.refuse_stop_without_cancel(job_id, attempt, executor)
        if end is ReportStopped and (job_id, attempt) not in self.cancels:
            end = ReportFailed
        ended = (None, time_at(-9e6), time_at(self.ids - 2), time_at(9e6))[run % 4]
        self.report_end(at, (job_id, attempt, executor), end, ended, fate, permanent=permanent)

    def report_end(
        self,
        at: int,
        run: Run,
        end: Callable[..., Command],
        ended: datetime | None,
        fate: Fate,
        *,
        permanent: bool = False,
    ) -> None:
        """Reports the run's end: the same one each time, whatever is given later."""
        job_id, attempt, executor = run
        error = {"error": failure(permanent=permanent)} if end is ReportFailed else {}
        first = end(
            job_id=job_id,
            attempt=attempt,
            executor_id=executor,
            handler_end_time=ended,
            **error,
        )
        self.ask(at, self.ends.setdefault(run, first), fate)

    def refuse_stop_without_cancel(self, job_id: str, attempt: int, executor: str) -> None:
        """At the log's end, a run that nobody asked to stop can't be reported as stopped."""
        state = self.truth[-1][job_id].state
        running = (JobPhase.RUNNING, attempt, executor)
        if (state.phase, state.attempt, state.executor_id) == running:
            report = ReportStopped(job_id=job_id, attempt=attempt, executor_id=executor)
            refusal = Refusal(Reason.NOT_CANCELLED, conclusive=False)
            assert decide(self.truth[-1][job_id], report, stamp()) == refusal
            self.seen[f"refused: {Reason.NOT_CANCELLED.name}"] += 1

    @precondition(lambda self: self.grants)
    @rule(
        at=st.integers(0, 2),
        run=st.integers(0, 9),
        tenths=st.integers(0, 10),
        fate=PROGRESS_FATES,
    )
    def progress(self, at: int, run: int, tenths: int, fate: Fate) -> None:
        """A granted run reports progress; the newest replica may use an event type of its own."""
        job_id, attempt, executor = self.run(run)
        report = ReportProgress(
            job_id=job_id, attempt=attempt, executor_id=executor, progress=Progress(tenths / 10)
        )
        self.ask(0 if fate is Fate.NEW_TYPE else at, report, fate)

    @precondition(lambda self: self.grants)
    @rule(at=st.integers(0, 2), run=st.integers(0, 9), row=st.integers(0, 3), fate=FATES)
    def checkpoint(self, at: int, run: int, row: int, fate: Fate) -> None:
        """A granted run saves a checkpoint that names its attempt."""
        self.save(at, self.run(run), row, fate)

    def save(self, at: int, run: Run, row: int, fate: Fate) -> None:
        """The run saves the checkpoint."""
        job_id, attempt, executor = run
        value = b"[%d,%d]" % (attempt, row)
        self.ask(
            at,
            SaveCheckpoint(job_id=job_id, attempt=attempt, executor_id=executor, checkpoint=value),
            fate,
        )

    # Actions that a replica takes because of its own fold.

    @precondition(lambda self: self.grants)
    @rule(at=st.integers(0, 2), job=st.integers(0, 1), fate=FATES)
    def timer(self, at: int, job: int, fate: Fate) -> None:
        """A replica believes that a run's executor is dead, or finds the next attempt due."""
        found = self.replicas[at].jobs.get(JOBS[job])
        if found is None or found.final:
            return
        job_id, attempt, executor = found.job_id, found.state.attempt, found.state.executor_id
        if found.state.phase is JobPhase.WAITING:
            self.ask(at, Retry(job_id=job_id, attempt=attempt), fate)
        elif executor:
            self.ask(at, LoseLease(job_id=job_id, attempt=attempt, executor_id=executor), fate)

    @precondition(lambda self: self.accepted)
    @rule(at=st.integers(0, 2), job=st.integers(0, 1), expires=st.booleans(), fate=FATES)
    def deadline(self, at: int, job: int, expires: bool, fate: Fate) -> None:
        """A replica finds a deadline over: of the start, the run, the cancel or the job.

        Each replica has another longest life. The event carries what was decided, so they agree.
        """
        found = self.replicas[at].jobs.get(JOBS[job])
        if found is None or found.final:
            return
        job_id, attempt = found.job_id, found.state.attempt
        command: Command = Expire(job_id=job_id, longest_life=LONGEST_LIVES[at])
        if not expires and found.state.phase is JobPhase.QUEUED:
            command = FailUnstarted(job_id=job_id)
        elif not expires and found.state.phase is JobPhase.RUNNING:
            command = TimeOutRun(job_id=job_id, attempt=attempt)
        elif not expires and found.state.phase is JobPhase.STOPPING:
            command = ForceCancel(job_id=job_id, attempt=attempt)
        self.ask(at, command, fate)

    # Faults of the log and of the processes.

    @precondition(lambda self: self.log)
    @rule(index=st.integers(0, 9))
    def surprise(self, index: int) -> None:
        """A record arrives whose append had timed out, or a record is appended again."""
        if self.pending:
            self.seen["arrived late"] += 1
            self.append(self.pending.pop(index % len(self.pending)))
        else:
            self.append(self.log[-1 - index % len(self.log)])

    @precondition(lambda self: self.log)
    @rule(at=st.integers(0, 2), count=st.sampled_from((1, 2, 100)))
    def read(self, at: int, count: int) -> None:
        """A replica reads some more records."""
        self.read_to(self.replicas[at], self.replicas[at].position + count)

    @precondition(lambda self: self.log)
    @rule(at=st.integers(0, 2), what=st.sampled_from(("keep", "resume", "rebuild")))
    def restart(self, at: int, what: str) -> None:
        """A replica saves rows and position together, or restarts from them or from nothing."""
        replica = self.replicas[at]
        if what == "keep":
            replica.snapshot = (dict(replica.jobs), replica.position)
            return
        rows, replica.position = replica.snapshot if what == "resume" else ({}, 0)
        replica.jobs, replica.waits = dict(rows), {}
        self.seen["restarted"] += 1

    # Invariants.

    @invariant()
    def every_replica_is_the_fold_of_its_prefix(self) -> None:
        """A replica has the same jobs as a fresh fold of the records that it has read."""
        for replica in self.replicas:
            assert without_version(replica.jobs) == without_version(self.truth[replica.position]), (
                replica.name
            )

    @invariant()
    def final_is_final(self) -> None:
        """If a job has ended in a prefix of the log, it is the same in every longer prefix."""
        for before, after in zip(self.truth[-2:-1], self.truth[-1:], strict=False):
            for job_id, job in before.items():
                assert not job.final or after[job_id] == job

    @invariant()
    def checkpoints_are_of_attempts_that_were_granted(self) -> None:
        """A living job keeps the checkpoint of its attempt or an earlier one, never of a later."""
        for before, after in zip(self.truth[-2:-1], self.truth[-1:], strict=False):
            for job_id, job in after.items():
                if job.checkpoint is None:
                    assert job.final or job_id not in before or not before[job_id].checkpoint
                    continue
                assert isinstance(job.checkpoint, bytes)
                attempt, _ = json.loads(job.checkpoint)
                assert (job_id, attempt) in self.grants or attempt == job.state.attempt
                assert attempt <= job.state.attempt
                old = before[job_id].checkpoint
                if job.checkpoint != old:
                    self.seen["checkpointed"] += 1
                    assert attempt == job.state.attempt
                elif attempt < job.state.attempt:
                    self.seen["resumed"] += 1

    @invariant()
    def exhausted_jobs_have_failed(self) -> None:
        """An exhausted job has failed at least as often as its policy allows attempts."""
        for job in self.truth[-1].values():
            if job.state.exhausted:
                assert job.state.status is JobInstanceStatus.FAILED
                assert job.state.policy
                assert job.state.failures >= job.state.policy.max_attempts

    @invariant()
    def accepted_jobs_are_in_the_log(self) -> None:
        """Every job that was answered with 202 is in the log, with the accepted content."""
        for job_id, request_hash in self.accepted.items():
            assert self.truth[-1][job_id].state.request_hash == request_hash

    @invariant()
    def every_unfinished_job_can_change(self) -> None:
        """Without a cancel, exactly one of three commands leads an unfinished job on."""
        for job in self.truth[-1].values():
            attempt, holder = job.state.attempt, job.state.executor_id or ""
            ways: tuple[Command, ...] = (
                claim(attempt, EXECUTORS[0], job.dispatch_id, job.job_id),
                Retry(job_id=job.job_id, attempt=attempt),
                LoseLease(job_id=job.job_id, attempt=attempt, executor_id=holder),
            )
            led = [isinstance(decide(job, command, stamp()), KnownEvent) for command in ways]
            assert sum(led) == (0 if job.final else 1)


def test_random_runs_keep_replicas_equal_and_grant_each_attempt_once() -> None:
    """The invariants hold in every random run, and the runs reach every situation in question."""
    Service.seen.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=300,
            stateful_step_count=50,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    seen = Service.seen
    print(dict(seen))
    assert seen["forked"] == 0
    assert min(seen["applied"], seen["lost"]) > 300
    often = ["arrived late", "restarted", "exhausted", "undecidable", "new type"]
    often += ["ended before it was reported"]
    often += ["checkpointed", "resumed"]
    often += [f"acknowledged, at its offset: {at}" for at in (True, False)]
    often += [f"granted: attempt {attempt}" for attempt in (1, 2, 3)]
    often += [f"ended: {status}" for status in ("Completed", "Failed", "Cancelled")]
    # `Jobs` refuses what it can't open: tests/unit/facade/jobs/test_sealed_jobs.py.
    often += [f"refused: {reason.name}" for reason in Reason if reason is not Reason.SEALED]
    assert [what for what in often if not seen[what]] == []
