"""One finding of `python -m fabric_jobs.facade check`: a line of its report."""

from enum import StrEnum
from typing import NamedTuple


class CheckStatus(StrEnum):
    """The result of one check."""

    OK = "ok"
    #: The facade would run; the reader decides whether it would run well enough.
    WARNING = "warning"
    #: The facade would not start, or would not become ready.
    FAILED = "failed"


class Finding(NamedTuple):
    """One line of the report; further lines of the text say what to do."""

    status: CheckStatus
    subject: str
    text: str

    def __str__(self) -> str:
        first, *more = self.text.splitlines()
        return "\n".join(
            [f"{self.status:<8} {self.subject:<10} {first}", *(f"{'':20}{line}" for line in more)]
        )
