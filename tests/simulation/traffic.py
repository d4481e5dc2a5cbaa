"""What clients and operators do with the jobs of a world, by plans that the seed decides."""

import asyncio
import uuid
from random import Random
from typing import Any, Literal
from uuid import UUID

import grpc
from msgspec import Struct

from fabric_jobs.status.v1 import job_status_pb2 as pb
from fabric_jobs.status.v1.job_status_pb2_grpc import JobStatusServiceStub
from tests.chaos.handlers import ITEM_TYPE
from tests.chaos.history import FINAL, UNKNOWN, History, Operation
from tests.chaos.traffic import PATIENCE_S, UNDECIDED, backoff
from tests.simulation import http
from tests.simulation.handlers import ALL_KINDS
from tests.simulation.nodes import FacadeNode
from tests.simulation.rpc import SimulatedChannel

TENANTS = [str(uuid.UUID(int=number)) for number in (11, 12, 13)]
#: The longest wait between two repetitions of a request, in seconds.
MAX_WAIT_S = 15.0
#: The longest wait between two polls of a client, in seconds.
MAX_POLL_WAIT_S = 60.0
#: The part of worlds with a job that waits until it expires.
DORMANT_PART = 1 / 6


class Plan(Struct, frozen=True, kw_only=True):
    """What the clients do with one job."""

    number: int
    job: str
    tenant: str
    kind: str
    #: The simulated second of its create.
    at: float
    doubled: bool
    impatient: bool
    #: Whether the same id is created again with another payload.
    conflicting: bool
    #: `at once`, `running` or empty.
    cancel: str
    #: Whether an operator asks to retry the job, before and after its end.
    retried: bool
    manual: bool


def make_plan(seed: str, number: int, seconds: float) -> Plan:
    """Returns the plan of a job. It depends on the seed and the number alone."""
    dice = Random(f"{seed} job {number}")
    (kind,) = dice.choices(list(ALL_KINDS), [kind.weight for kind in ALL_KINDS.values()])
    cancel = dice.choices(["", "at once", "soon", "running"], [78, 4, 8, 10])[0]
    if is_dormant := not number and Random(f"{seed} dormant").random() < DORMANT_PART:
        kind, cancel = "dormant", ""
    if kind == "endless" and number:
        cancel = "running"  # more than one job without an end would hold every slot
    return Plan(
        number=number,
        job=str(UUID(int=dice.getrandbits(128), version=4)),
        tenant=dice.choice(TENANTS),
        kind=kind,
        at=dice.uniform(0, seconds),
        doubled=dice.random() < 0.15,
        impatient=dice.random() < 0.1,
        conflicting=dice.random() < 0.05,
        cancel=cancel,
        retried=dice.random() < 0.08 and not is_dormant,
        manual=dice.random() < 0.7,
    )


class Traffic:
    """Creates, polls, cancels and retries jobs by their plans."""

    def __init__(self, seed: str, facades: list[FacadeNode]) -> None:
        self.history = History()
        #: Answers to creates with another payload: job, code.
        self.conflicts: list[tuple[str, int]] = []
        #: Cleared while clients wait, because every facade is away for hours.
        self.may_ask = asyncio.Event()
        self.may_ask.set()
        self._seed = seed
        self._facades = facades
        self._tenants: dict[str, str] = {}

    async def run(self, plan: Plan) -> None:
        """Does what the plan says; returns once the job was seen in its final state."""
        dice = Random(f"{self._seed} client {plan.number}")
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(plan.at - clock())
        self.history.kinds[plan.job] = plan.kind
        self._tenants[plan.job] = plan.tenant
        if not await self._accepted(plan, dice):
            return
        if plan.conflicting:
            self.conflicts.append((plan.job, await self._conflict(plan, dice)))
        if plan.cancel in ("at once", "soon"):
            await asyncio.sleep(0 if plan.cancel == "at once" else dice.uniform(0, 4))
            await self._cancel(plan.job, dice)
        new_job = str(UUID(int=dice.getrandbits(128), version=4))
        if plan.retried:
            await self._retry(plan, new_job, dice)  # mostly too early
        await self._follow(plan.job, dice, cancel=plan.cancel == "running")
        if plan.retried:
            waits = backoff(dice, MAX_WAIT_S)
            while not await self._retry(plan, new_job, dice):
                await asyncio.sleep(next(waits))
            await self._follow(new_job, dice, cancel=False)

    async def operate(self, seconds: float) -> None:
        """Pauses and resumes job types until `seconds`."""
        dice, clock = Random(f"{self._seed} operator"), asyncio.get_running_loop().time
        kinds = sorted(ALL_KINDS)
        while clock() < seconds:
            await asyncio.sleep(dice.expovariate(1 / 8))
            await self.may_ask.wait()
            kind = dice.choice(kinds)
            pause = pb.PauseJobTypeRequest(item_type=ITEM_TYPE, job_type=kind, reason="simulated")
            await self.call(dice, "PauseJobType", pause)
            await asyncio.sleep(dice.expovariate(1 / 8))
            await self._resume(dice, kind)

    async def _resume(self, dice: Random, kind: str) -> None:
        """Repeats the call until a facade says that the type is not paused."""
        request = pb.ResumeJobTypeRequest(item_type=ITEM_TYPE, job_type=kind)
        for wait_s in backoff(dice, MAX_WAIT_S):
            await self.may_ask.wait()
            await self.call(dice, "ResumeJobType", request)
            if kind not in await self._paused(dice):
                return
            await asyncio.sleep(wait_s)

    async def resume_all(self) -> None:
        """Resumes every type that is paused, also by a call whose answer never came."""
        dice = Random(f"{self._seed} last resumes")
        for kind in await self._paused(dice):
            await self._resume(dice, kind)

    async def _paused(self, dice: Random) -> list[str]:
        for wait_s in backoff(dice, MAX_WAIT_S):
            if found := await self.call(dice, "ListJobTypes", pb.ListJobTypesRequest()):
                return [one.job_type for one in found.job_types if one.HasField("pause")]
            await asyncio.sleep(wait_s)
        raise AssertionError

    async def poll_all(self) -> None:
        """Polls each job once more, on a random facade."""
        dice = Random(f"{self._seed} last polls")
        for job in self.history.accepted:
            await self._ask("poll", job, dice, 10.0)

    async def _follow(self, job: str, dice: Random, *, cancel: bool) -> None:
        wait_s = dice.uniform(0, 0.5)
        while True:
            shown = (await self._ask("poll", job, dice, PATIENCE_S)).shown
            if shown and shown.status in FINAL:
                break
            if cancel and shown and shown.status == "InProgress":
                await self._cancel(job, dice)
                cancel = False
            await asyncio.sleep(wait_s)
            wait_s = min(MAX_POLL_WAIT_S, wait_s * 1.6 + 0.1)
        await asyncio.sleep(dice.uniform(0, 5))
        await self._ask("poll", job, dice, PATIENCE_S)

    async def _accepted(self, plan: Plan, dice: Random) -> bool:
        patience_s = dice.uniform(0.001, 0.02) if plan.impatient else PATIENCE_S
        tries = [self._ask("create", plan.job, dice, patience_s, manual=plan.manual)]
        if plan.doubled:
            tries.append(self._ask("create", plan.job, dice, PATIENCE_S, manual=plan.manual))
        answers, waits = await asyncio.gather(*tries), backoff(dice, MAX_WAIT_S)
        while all(answer.code in UNDECIDED for answer in answers):
            await asyncio.sleep(next(waits))
            answers = [await self._ask("create", plan.job, dice, PATIENCE_S, manual=plan.manual)]
        return any(answer.accepted for answer in answers)

    async def _cancel(self, job: str, dice: Random) -> None:
        for wait_s in backoff(dice, MAX_WAIT_S):
            answer = await self._ask("cancel", job, dice, PATIENCE_S)
            if answer.code not in UNDECIDED:
                return
            await asyncio.sleep(wait_s)

    async def _conflict(self, plan: Plan, dice: Random) -> int:
        """Creates a job with another payload; returns the code. The history has no line of it."""
        facade, body = dice.choice(self._facades), _body(plan.manual, other=True)
        return (await self._send("POST", facade, plan.job, "", body, PATIENCE_S)).code

    async def _retry(self, plan: Plan, new_job: str, dice: Random) -> bool:
        """Asks a facade to retry the job as the new job; returns whether it did."""
        await self.may_ask.wait()
        request = pb.RetryJobRequest(job_id=plan.job, new_job_id=new_job)
        # Before the call, because a call without an answer may have created the job.
        self.history.kinds[new_job] = plan.kind
        self._tenants[new_job] = plan.tenant
        return await self.call(dice, "RetryJob", request) is not None

    async def call(self, dice: Random, method: str, request: object) -> Any:
        """Calls a method of the status API on a random facade; returns `None` for an error."""
        stub = JobStatusServiceStub(SimulatedChannel(dice.choice(self._facades).grpc_address))  # type: ignore[no-untyped-call] # generated
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await getattr(stub, method)(request)
        except (grpc.aio.AioRpcError, TimeoutError, asyncio.InvalidStateError):
            return None

    async def _ask(
        self,
        what: Literal["create", "poll", "cancel"],
        job: str,
        dice: Random,
        within_s: float,
        *,
        manual: bool = True,
    ) -> Operation:
        await self.may_ask.wait()
        number = dice.randrange(len(self._facades))
        method = "GET" if what == "poll" else "POST"
        suffix = "/cancel" if what == "cancel" else ""
        body = _body(manual) if what == "create" else b""
        clock = asyncio.get_running_loop().time
        start = clock()
        answer = await self._send(method, self._facades[number], job, suffix, body, within_s)
        operation = Operation(
            job=job,
            what=what,
            replica=number,
            start=start,
            end=clock() if answer.code else UNKNOWN,
            code=answer.code,
            body=answer.body,
        )
        self.history.operations.append(operation)
        return operation

    async def _send(
        self, method: str, facade: FacadeNode, job: str, suffix: str, body: bytes, within_s: float
    ) -> http.Answer:
        """Sends a request about a job; returns its answer, with code 0 if none came in time."""
        path = (
            f"/workload/workspaces/{UUID(int=1)}/items/{ITEM_TYPE}/{UUID(int=2)}"
            f"/jobTypes/{self.history.kinds[job]}/instances/{job}{suffix}"
        )
        headers = [
            (b"x-ms-client-tenant-id", self._tenants[job].encode()),
            (b"content-type", b"application/json"),
        ]
        try:
            async with asyncio.timeout(within_s):
                return await http.ask(method, facade.http_address, path, body, headers)
        except TimeoutError:
            return http.Answer(0, "")


def _body(manual: bool, *, other: bool = False) -> bytes:
    invoke_type = b"Manual" if manual else b"Scheduled"
    payload = b"2" if other else b"1"
    return b'{"invokeType":"%s","creationPayload":{"simulated":%s}}' % (invoke_type, payload)
