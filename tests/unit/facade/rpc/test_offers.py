"""The rounds of offers, on a folded log and sessions without streams."""

import uuid
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from fabric_jobs.contract.controls import encode, key_of
from fabric_jobs.contract.dispatch_order import OVERDUE_AFTER, default_priority
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.jobs import InvokeType, JobState
from fabric_jobs.executor.dispatch.dispatches import attempt_from_offer
from fabric_jobs.executor.dispatch.ready_queue import ReadyQueue, WaitingAttempt
from fabric_jobs.facade.log import Record
from fabric_jobs.facade.rpc.held_runs import SlotJob
from fabric_jobs.facade.rpc.offer_order import order_offers
from fabric_jobs.facade.rpc.offers import FAIR_JOBS, PATIENCE, OfferLoop
from fabric_jobs.facade.rpc.session import MAX_OPEN_OFFERS, Session
from fabric_jobs.facade.sealing import JobSecrets
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.controls import pause
from tests.support.monitor import FoldedJobs
from tests.support.sealing import NEW_KEY, NO_SEALING, OLD_KEY, sealing

LONG_ENOUGH = PATIENCE + timedelta(seconds=1)
A_WHILE = timedelta(minutes=1)


class Facade:
    """A facade with some sessions, and its offers."""

    def __init__(self, secrets: JobSecrets = NO_SEALING) -> None:
        self.jobs = FoldedJobs(secrets)
        self.jobs.age = LONG_ENOUGH
        self.sessions: list[Session] = []
        sessions: Any = self
        jobs = self.jobs
        self.loop = OfferLoop(jobs.replica, sessions, jobs.controls, jobs.secrets, lambda: True)

    def open_sessions(self) -> list[Session]:
        """Returns the sessions, as `Sessions` does."""
        return self.sessions

    def connect(self, free_slots: int, *job_types: pb.JobType) -> Session:
        """Connects an executor, whose slots have been free for a round."""
        hello = pb.Hello(executor_id="e", slots=free_slots, job_types=job_types or [kind("job")])
        anything: Any = self.jobs
        session = Session(hello, anything, self.jobs.replica, anything, self.jobs.controls)
        session.slots.beat(pb.Heartbeat(free_slots=free_slots), {}, [])
        session.slots.idle()
        self.sessions.append(session)
        return session

    def create(self, age: timedelta = LONG_ENOUGH, job_type: str = "job", **fields: Any) -> str:
        """Creates a job of this age, which waits for a claim."""
        self.jobs.age = age
        return self.jobs.create(item_type="Item", job_type=job_type, **fields)

    def offer(self) -> list[list[str]]:
        """Makes a round. Returns the job ids of each session's new offers."""
        self.loop.run_round()
        return [
            [offer.job.job_id for offer in session._next_response.take().offers]
            for session in self.sessions
        ]


def kind(job_type: str, slots: int = 0, priority: int = 0) -> pb.JobType:
    """A job type of an executor."""
    return pb.JobType(item_type="Item", job_type=job_type, slots=slots, priority=priority)


def test_job_is_offered_once_it_has_waited_for_a_moment() -> None:
    """A job that is younger is probably under way on the topic."""
    facade = Facade()
    facade.connect(2)
    facade.create(age=timedelta())
    assert facade.offer() == [[]]

    waiting = facade.create()
    assert facade.offer() == [[waiting]]
    assert facade.offer() == [[]]


def test_job_is_offered_only_for_slots_that_were_free_for_a_round() -> None:
    """An executor fills a slot that it has just freed by itself."""
    facade = Facade()
    session = facade.connect(1)
    waiting = facade.create()
    session.slots.claim(("another", 1), None)
    session.slots.free(("another", 1))

    assert facade.offer() == [[]]
    assert facade.offer() == [[waiting]]


def test_freed_slot_gets_the_next_job_without_a_heartbeat() -> None:
    """The final report frees it."""
    facade = Facade()
    session = facade.connect(1)
    first, second = facade.create(age=A_WHILE), facade.create()
    assert facade.offer() == [[first]]
    session.slots.claim((first, 1), None)
    facade.jobs.start(first)
    assert facade.offer() == [[]]
    session.slots.free((first, 1))
    facade.offer()

    assert facade.offer() == [[second]]


def test_jobs_are_offered_by_priority_and_then_by_age() -> None:
    """An overdue job of the lowest priority comes first."""
    facade = Facade()
    facade.connect(1)
    scheduled = {"invoke_type": InvokeType.SCHEDULED}
    facade.create(age=A_WHILE, **scheduled)
    facade.create()
    manual = facade.create(age=A_WHILE)
    assert facade.offer() == [[manual]]

    facade = Facade()
    facade.connect(1)
    facade.create()
    overdue = facade.create(age=OVERDUE_AFTER, **scheduled)
    assert facade.offer() == [[overdue]]


def test_waiting_jobs_of_a_full_kind_hold_back_no_other_kind() -> None:
    """The executor runs one `slow` job at a time, and has two more slots."""
    facade = Facade()
    facade.connect(3, kind("slow", slots=1), kind("quick"))
    slow = [facade.create(age=A_WHILE, job_type="slow") for _ in range(9)]
    quick = [facade.create(job_type="quick") for _ in range(3)]
    first, second = facade.offer(), facade.offer()
    offered = {*first[0], *second[0]}

    assert len(offered & {*slow}) == 1
    assert len(offered & {*quick}) == 2


def test_jobs_are_spread_over_the_executors_with_idle_slots() -> None:
    """Each job is offered once."""
    facade = Facade()
    facade.connect(2)
    facade.connect(2)
    facade.connect(2, kind("other"))
    jobs = [facade.create() for _ in range(5)]
    one, two, other = facade.offer()

    assert (len(one), len(two), len(other)) == (2, 2, 0)
    assert {*one, *two} < {*jobs}
    assert not {*one} & {*two}


def test_job_that_an_executor_has_claimed_is_not_offered() -> None:
    """Its claim is under way, whatever the job's state says."""
    facade = Facade()
    facade.connect(1)
    waiting = facade.create()
    claimer = facade.connect(1)
    claimer.slots.claim((waiting, 1), None)

    assert facade.offer() == [[], []]


def test_jobs_of_a_paused_type_are_not_offered_until_it_is_resumed() -> None:
    """Then the oldest comes first."""
    facade = Facade()
    facade.connect(1)
    waiting = [facade.create(age=A_WHILE), facade.create()]
    control = pause("Item", "job")
    facade.jobs.controls.apply([Record(0, 0, 0, encode(control), key_of(control.kind))], {0: 1})
    assert facade.offer() == [[]]

    resumed = replace(control, paused=False)
    facade.jobs.controls.apply([Record(0, 1, 0, encode(resumed), key_of(resumed.kind))], {0: 2})
    assert facade.offer() == [waiting[:1]]


def test_executor_that_claims_to_be_huge_takes_no_job_from_an_honest_one() -> None:
    """What is offered to it and not claimed is bounded."""
    facade = Facade()
    huge, honest = facade.connect(10_000), facade.connect(50)
    for _ in range(MAX_OPEN_OFFERS + 60):
        facade.create()
    facade.offer()

    assert huge.slots.open_offers == MAX_OPEN_OFFERS
    assert honest.slots.open_offers == 50


def test_executor_without_open_offers_comes_first() -> None:
    """One that leaves its offers unanswered waits behind it."""
    facade = Facade()
    facade.connect(5).slots.offer(("other", 1), SlotJob(JobKind("Item", "job"), "tenant"))
    facade.sessions[0].slots.idle()
    facade.connect(1)
    waiting = facade.create()

    assert facade.offer() == [[], [waiting]]


def test_jobs_are_offered_by_the_priority_of_the_executor_s_own_handler() -> None:
    """It overrides who requested the job. Another executor may set another priority."""
    facade = Facade()
    facade.connect(1, kind("low", priority=1), kind("job"))
    facade.create(age=A_WHILE, job_type="low")
    scheduled = facade.create(invoke_type=InvokeType.SCHEDULED)
    assert facade.offer() == [[scheduled]]

    facade = Facade()
    facade.connect(1, kind("job"), kind("urgent", priority=9))
    facade.connect(1, kind("job", priority=9), kind("urgent", priority=8))
    manual = facade.create(age=A_WHILE)
    urgent = facade.create(job_type="urgent", invoke_type=InvokeType.SCHEDULED)
    assert facade.offer() == [[urgent], [manual]]


def test_jobs_of_a_tenant_with_fewer_runs_at_the_executor_are_offered_first() -> None:
    """However many jobs another tenant has waiting for longer, within `FAIR_JOBS`."""
    facade = Facade()
    busy, quiet = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
    session = facade.connect(3)
    many = [facade.create(age=A_WHILE, tenant_id=busy) for _ in range(FAIR_JOBS)]
    few = [facade.create(tenant_id=quiet) for _ in range(2)]
    (offered,) = facade.offer()
    assert offered == [many[0], few[0], many[1]]

    for job_id in offered:
        session.slots.free((job_id, 1))
    session.slots.beat(
        pb.Heartbeat(free_slots=2), {("a run", 1): SlotJob(JobKind("Item", "job"), busy)}, []
    )
    facade.offer()
    (offered,) = facade.offer()
    assert offered[0] in few


def test_order_of_offers_is_that_of_a_ready_queue() -> None:
    """For any waiting jobs, the executor would claim them one after the other in this order."""
    random = Random(7)
    facade = Facade()
    jobs = facade.jobs
    now = datetime.now(UTC)
    tenants = [str(uuid.UUID(int=number)) for number in range(1, 4)]
    queue = ReadyQueue(1000, 1_000_000)
    for number in range(60):
        jobs.age = timedelta(minutes=random.choice([1, 2, 3, 60]), seconds=number)
        job_id = jobs.create(
            tenant_id=random.choice(tenants),
            job_type=random.choice(["a", "b"]),
            invoke_type=random.choice(list(InvokeType)),
        )
        stored = jobs.replica.get(job_id)
        assert stored
        queue.put(
            WaitingAttempt(
                dispatched=attempt_from_offer(facade.loop._offer_of(stored)),
                dispatched_at=stored.job.state.create_time,
                priority=priority_of(stored.job.state),
                on_decided=lambda: None,
            )
        )
    waiting = [stored for one in queue if (stored := jobs.replica.get(one.dispatched.job_id))]
    queue.add_run(tenants[0])
    order = order_offers(waiting, priority_of, {tenants[0]: 1}, now)
    claimed = []
    while one := queue.take(now, lambda _: True):
        queue.add_run(one.dispatched.tenant_id)
        claimed.append(one.dispatched.job_id)

    assert [stored.job.job_id for stored in order] == claimed


def priority_of(state: JobState) -> int:
    """The priority at an executor whose handler of `a` sets one."""
    return 6 if state.job_type == "a" else default_priority(state.invoke_type)


@pytest.mark.parametrize(("secrets", "payload"), [(NO_SEALING, b'{"x":1}'), (sealing(), b"null")])
def test_offer_of_a_job_has_its_payload_unless_that_is_sealed(
    secrets: JobSecrets, payload: bytes
) -> None:
    """Only the executor whose claim is granted gets a sealed payload."""
    facade = Facade(secrets)
    session = facade.connect(1)
    facade.create(payload=b'{"x":1}')
    facade.loop.run_round()
    (offer,) = session._next_response.take().offers
    assert offer.payload == payload


def test_offer_names_the_record_that_dispatched_the_job() -> None:
    """A claim of another record is refused."""
    facade = Facade()
    session = facade.connect(1)
    stored = facade.jobs.replica.get(facade.create())
    facade.loop.run_round()
    (offer,) = session._next_response.take().offers

    assert stored
    assert offer.record == pb.Record(
        event_id=stored.job.event_id, partition=stored.partition, offset=stored.offset
    )


def test_job_whose_content_this_facade_can_t_open_is_not_offered() -> None:
    """The grant would have no content, so a facade that has the key offers the job."""
    facade = Facade(sealing(NEW_KEY))
    facade.connect(1)
    facade.create(payload=b'{"x":1}')
    facade.loop._secrets = sealing(OLD_KEY)

    assert facade.offer() == [[]]
