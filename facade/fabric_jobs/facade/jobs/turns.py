"""The commands in progress in a replica: a bounded number, and one at a time for each job."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason

#: Commands in progress, in all and for one job; the next one is answered with OVERLOADED.
MAX_COMMANDS = 4096
MAX_COMMANDS_OF_A_JOB = 256


class Turn:
    """The commands in progress for one job."""

    def __init__(self) -> None:
        #: Held by the one command that may decide and append now.
        self.lock = asyncio.Lock()
        #: An append whose command no longer waits for it; the event may still arrive on the log.
        self.unresolved: asyncio.Task[Any] | None = None
        self.commands = 0


class Turns:
    """A `Turn` for each job that has a command in progress."""

    def __init__(self) -> None:
        self._of_job: dict[str, Turn] = {}
        self._commands = 0

    def enter(self, job_id: str) -> Turn:
        """Counts a command that begins. Raises `UnavailableError` if a bound is reached."""
        turn = self._of_job.get(job_id)
        if turn is None:
            turn = Turn()
        if self._commands >= MAX_COMMANDS or turn.commands >= MAX_COMMANDS_OF_A_JOB:
            raise UnavailableError(
                UnavailableReason.OVERLOADED,
                "Too many commands are in progress in this replica. "
                "Send the command again after a moment.",
            )
        self._of_job[job_id] = turn
        self._commands += 1
        turn.commands += 1
        return turn

    def leave(self, job_id: str) -> None:
        """Stops counting a command that is over."""
        turn = self._of_job[job_id]
        self._commands -= 1
        turn.commands -= 1
        if not turn.commands:
            del self._of_job[job_id]

    def leave_unresolved(self, job_id: str, resolving: Coroutine[Any, Any, Any]) -> None:
        """Counts an append, whose command is over, as a command until `resolving` returns."""
        turn = self._of_job[job_id]
        self._commands += 1
        turn.commands += 1
        turn.unresolved = asyncio.create_task(resolving, name="resolve an append")
        turn.unresolved.add_done_callback(lambda task: self._finish_unresolved(job_id, task))

    def _finish_unresolved(self, job_id: str, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # Nobody awaits the task: mark its exception as retrieved.
        turn = self._of_job[job_id]
        if turn.unresolved is task:
            turn.unresolved = None
        self.leave(job_id)
