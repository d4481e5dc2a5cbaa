"""Progress bars on the terminal: of one job, and of a number of items."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from fabric_jobs.runtime.text import one_line
from fabric_jobs.status.v1 import job_status_pb2 as pb


class ProgressBar:
    """A progress bar on stderr inside the `with` block. Without a terminal nothing is shown."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.visible = console.is_terminal
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[message]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self.visible,
        )
        self._task = self._bar.add_task("", total=None, message="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Prints a line on stderr, above the bar."""
        self._bar.console.print(Text(one_line(text)), soft_wrap=True)

    def set_status(self, status: str) -> None:
        """Shows the job's status."""
        self._bar.update(self._task, description=status)

    def set_progress(self, job: pb.Job) -> None:
        """Shows the progress that the job's handler last reported, if it reported any."""
        if job.HasField("progress"):
            message = one_line(job.progress.message)
            self._bar.update(self._task, total=1, completed=job.progress.fraction, message=message)


class CountBar:
    """A bar on stderr that counts the items that are done. Without a terminal nothing is shown."""

    def __init__(self, description: str, total: int) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(description, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """Counts one more item."""
        self._bar.advance(self._task)
