"""Progress bars on the terminal: of one job, and of a number of items."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from fabric_jobs.runtime.text import one_line
from fabric_jobs.status.v1 import job_status_pb2 as pb


class _Bar:
    """A bar on stderr inside the `with` block. Without a terminal nothing is shown."""

    def __init__(self, *columns: ProgressColumn) -> None:
        console = Console(stderr=True)
        self.visible = console.is_terminal
        self._bar = Progress(
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self.visible,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class ProgressBar(_Bar):
    """A bar that shows the status and the progress of one job."""

    def __init__(self) -> None:
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[message]}", markup=False),
        )
        self._task = self._bar.add_task("", total=None, message="")

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


class CountBar(_Bar):
    """A bar that counts the items that are done."""

    def __init__(self, description: str, total: int) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
        )
        self._task = self._bar.add_task(description, total=total)

    def advance(self) -> None:
        """Counts one more item."""
        self._bar.advance(self._task)
