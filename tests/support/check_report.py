"""The report of `fabric-jobs check`."""

import re
import subprocess

from tests.support.command import COMMAND, ENVIRONMENT

CHECK = [COMMAND, "check"]
#: The beginning of a line of the report.
LINE = re.compile(r"(ok|warning|failed) +(\w+) +(.*)")


class Report:
    """The output and the exit code of the command."""

    def __init__(self, *options: str, **environment: str) -> None:
        done = subprocess.run(
            [*CHECK, *options],
            env={**ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.code, self.text, self.errors = done.returncode, done.stdout, done.stderr
        self.lines = [match.groups() for match in map(LINE.match, self.text.splitlines()) if match]

    def verdicts(self, subject: str) -> list[str]:
        """The results about a subject, in order."""
        return [verdict for verdict, about, _ in self.lines if about == subject]
