"""The clients' traffic: jobs that are created by plan, created again, polled and cancelled.

The seed decides each job's plan. Each job has its own random numbers, so that the answers do not
change the choices.
"""

import asyncio
from collections.abc import Iterator
from itertools import count
from random import Random
from uuid import UUID

from msgspec import Struct

from tests.chaos.client import Client
from tests.chaos.handlers import KINDS
from tests.chaos.history import FINAL, Operation, Shown

RATE_PER_S = 30
#: The maximum number of unfinished jobs; further creates wait. The test of health waits for the end
#: of a new job, which a busy machine must reach behind so many others within a minute.
MAX_UNDER_WAY = 500
#: Answers that leave the outcome unknown, after which a repetition is safe: none (0), or 503.
UNDECIDED = {0, 503}
#: Seconds that a client waits for an answer; longer than the facade's own deadline.
PATIENCE_S = 5.0


class Plan(Struct, frozen=True, kw_only=True):
    """What the clients do with one job."""

    job: str
    kind: str
    #: Whether the create is sent to both replicas at once.
    doubled: bool
    #: Seconds that the client waits for the first create, so short that the outcome is unknown.
    impatience_s: float | None
    #: When the job is cancelled: `at once`, `running` (once it runs), or never (empty).
    cancel: str
    dice: Random


def plans(seed: int) -> Iterator[Plan]:
    """An endless sequence of a seed's jobs."""
    for number in count():
        dice = Random(f"{seed} job {number}")
        (kind,) = dice.choices(list(KINDS), [kind.weight for kind in KINDS.values()])
        yield Plan(
            job=str(UUID(int=dice.getrandbits(128), version=4)),
            kind=kind,
            doubled=dice.random() < 0.1,
            impatience_s=dice.uniform(0.001, 0.02) if dice.random() < 0.08 else None,
            cancel=dice.choices(["", "at once", "running"], [88, 6, 6])[0],
            dice=dice,
        )


class Traffic:
    """Creates, polls and cancels jobs by their plans."""

    def __init__(self, client: Client, replicas: int) -> None:
        self._client = client
        self._replicas = replicas
        self._jobs: set[asyncio.Task[None]] = set()
        self._defects: list[BaseException] = []
        self._canaries = Random(0)

    async def run(self, seed: int) -> None:
        """Create jobs at a steady rate until cancelled; clients of existing jobs continue."""
        clock = asyncio.get_running_loop().time
        due = clock()
        for plan in plans(seed):
            while len(self._jobs) >= MAX_UNDER_WAY:
                await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
            job = asyncio.create_task(self._job(plan), name=plan.job)
            self._jobs.add(job)
            job.add_done_callback(self._ended)
            due = max(due + 1 / RATE_PER_S, clock() - 1)
            await asyncio.sleep(due - clock())

    async def settle(self, within_s: float) -> int:
        """Wait until each job was seen in its final state; the number of jobs that were not.

        Raises the error of a client whose code failed.
        """
        left = set(self._jobs)
        if left:
            _, left = await asyncio.wait(left, timeout=within_s)
        for job in left:
            job.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for defect in self._defects:
            raise defect
        return len(left)

    async def canary(self, replica: int) -> None:
        """Return once one replica has created a job, and shown its end."""
        job = str(UUID(int=self._canaries.getrandbits(128), version=4))
        while (await self._client.create(job, "instant", replica, PATIENCE_S)).code != 202:
            await asyncio.sleep(0.2)
        while not _is_final((await self._client.poll(job, replica, PATIENCE_S)).shown):
            await asyncio.sleep(0.1)

    async def poll_all(self, jobs: list[str], seed: int) -> None:
        """Poll each job once more, on a random replica."""
        dice, places = Random(f"{seed} last polls"), asyncio.Semaphore(20)

        async def poll(job: str, replica: int) -> None:
            async with places:
                await self._client.poll(job, replica, 2 * PATIENCE_S)

        await asyncio.gather(*(poll(job, dice.randrange(self._replicas)) for job in jobs))

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (defect := job.exception()):
            self._defects.append(defect)

    async def _job(self, plan: Plan) -> None:
        if not await self._accepted(plan):
            return
        if plan.cancel == "at once":
            await self._cancel(plan)
        cancelled = plan.cancel != "running"
        wait_s = plan.dice.uniform(0, 0.5)
        while True:
            shown = (await self._poll(plan)).shown
            if _is_final(shown):
                break
            if shown and shown.status == "InProgress" and not cancelled:
                await self._cancel(plan)
                cancelled = True
            await asyncio.sleep(wait_s)
            wait_s = min(5.0, wait_s * 1.6 + 0.1)
        # A second poll, because a final state must not change.
        await asyncio.sleep(plan.dice.uniform(0, 2))
        await self._poll(plan)

    async def _accepted(self, plan: Plan) -> bool:
        """Repeat the create until its outcome is known; whether the job was accepted."""
        first = self._replica(plan)
        patience_s = plan.impatience_s or PATIENCE_S
        tries = [self._client.create(plan.job, plan.kind, first, patience_s)]
        if plan.doubled:
            other = (first + 1) % self._replicas
            tries.append(self._client.create(plan.job, plan.kind, other, PATIENCE_S))
        answers, waits = await asyncio.gather(*tries), backoff(plan.dice)
        while all(answer.code in UNDECIDED for answer in answers):
            await asyncio.sleep(next(waits))
            answers = [
                await self._client.create(plan.job, plan.kind, self._replica(plan), PATIENCE_S)
            ]
        return any(answer.accepted for answer in answers)

    async def _cancel(self, plan: Plan) -> None:
        for wait_s in backoff(plan.dice):
            answer = await self._client.cancel(plan.job, self._replica(plan), PATIENCE_S)
            if answer.code not in UNDECIDED:
                return
            await asyncio.sleep(wait_s)

    async def _poll(self, plan: Plan) -> Operation:
        return await self._client.poll(plan.job, self._replica(plan), PATIENCE_S)

    def _replica(self, plan: Plan) -> int:
        return plan.dice.randrange(self._replicas)


def backoff(dice: Random, max_s: float = 5.0) -> Iterator[float]:
    """Seconds before each repetition: short at first, then up to the `Retry-After` of a 503."""
    longest_s = 1.0
    while True:
        yield dice.uniform(0.2, longest_s)
        longest_s = min(max_s, longest_s * 1.5)


def _is_final(shown: Shown | None) -> bool:
    return shown is not None and shown.status in FINAL
