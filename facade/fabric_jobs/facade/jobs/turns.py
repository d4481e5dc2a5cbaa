"""The commands under way in a replica: so many at most, those of one job one after the other."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from fabric_jobs.facade.log import LogUnavailableError

#: Commands that are under way, and those of one job; more are told to come again.
MAX_COMMANDS = 4096
MAX_COMMANDS_OF_A_JOB = 256


class Turn:
    """What is under way for one job."""

    def __init__(self) -> None:
        #: Held by the command whose turn it is.
        self.lock = asyncio.Lock()
        #: An append that its command did not wait for: it may still arrive.
        self.unresolved: asyncio.Task[Any] | None = None
        self.commands = 0


class Turns:
    """The jobs that something is under way for."""

    def __init__(self) -> None:
        self._of_job: dict[str, Turn] = {}
        self._commands = 0

    def enter(self, job_id: str) -> Turn:
        """Counts a command that begins. Raises `LogUnavailableError` where there is no room."""
        turn = self._of_job.get(job_id)
        if turn is None:
            turn = Turn()
        if self._commands >= MAX_COMMANDS or turn.commands >= MAX_COMMANDS_OF_A_JOB:
            raise LogUnavailableError(
                "Too many commands are under way in this replica. Send it again after a moment."
            )
        self._of_job[job_id] = turn
        self._commands += 1
        turn.commands += 1
        return turn

    def leave(self, job_id: str) -> None:
        """A command is over."""
        turn = self._of_job[job_id]
        self._commands -= 1
        turn.commands -= 1
        if not turn.commands:
            del self._of_job[job_id]

    def leave_unresolved(self, job_id: str, resolving: Coroutine[Any, Any, Any]) -> None:
        """A command is over whose append is not: it counts until that is resolved."""
        turn = self._of_job[job_id]
        self._commands += 1
        turn.commands += 1
        turn.unresolved = asyncio.create_task(resolving, name="resolve an append")
        turn.unresolved.add_done_callback(lambda task: self._resolved(job_id, task))

    def _resolved(self, job_id: str, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
        turn = self._of_job[job_id]
        if turn.unresolved is task:
            turn.unresolved = None
        self.leave(job_id)
