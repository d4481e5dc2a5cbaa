"""The command line as a door: its arguments are the input."""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE

from tests.fuzz.mutate import Mutator
from tests.fuzz.system import WORKSPACE, System
from tests.support.command import COMMAND

#: Seconds that a command may take.
COMMAND_S = 20.0


class CommandLine:
    """`fabric-jobs` with arguments of any content, as a JSON list."""

    name = "command"
    _COMMANDS = (
        ["jobs", "list", "--limit", "3", "--json"],
        ["jobs", "list", "--status", "failed", "--job-type", "quick"],
        ["jobs", "get", WORKSPACE],
        ["jobs", "events", WORKSPACE, "--json"],
        ["jobs", "cancel", WORKSPACE],
        ["jobs", "retry", WORKSPACE],
        ["executors", "list", "--json"],
        ["submit", "Test.Item", "quick", "--payload", '{"a": 1}'],
        ["token"],
    )

    def __init__(self, system: System) -> None:
        names = ("PATH", "HOME", "LANG")
        self._environment = {name: os.environ[name] for name in names if name in os.environ}
        self._environment |= {
            name: value for name, value in system.environment.items() if name.startswith("FABRIC_")
        } | {"FABRIC_JOBS_FACADES": system.grpc}

    def make(self, mutator: Mutator) -> bytes:
        """A command with some of its arguments replaced, removed or added."""
        words = list(mutator.random.choice(self._COMMANDS))
        for _ in range(mutator.random.choice((1, 1, 2))):
            at = mutator.random.randrange(1, len(words) + 1)
            words[at : at + mutator.random.choice((0, 1))] = [mutator.text().replace("\0", "")]
        return json.dumps(words).encode()

    async def send(self, data: bytes) -> str:
        """A traceback, a signal and an endless run are wrong; so is an error of several screens."""
        words: list[str] = json.loads(data)
        arguments = [word.encode("utf-8", "surrogatepass") for word in words]
        process = await asyncio.create_subprocess_exec(
            COMMAND, *arguments, env=self._environment, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                _, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"the command did not end within {COMMAND_S:.0f} s"
        text = errors.decode(errors="replace")
        if "Traceback" in text or process.returncode not in (0, 1, 2):
            return f"exit code {process.returncode}: {text[-300:]}"
        return ""
