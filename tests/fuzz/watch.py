"""What is watched while inputs are sent: exit, memory, stalls, tracebacks, and other requests."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.fuzz.system import ITEM, WORKSPACE, System
from tests.support.programs import Program, new_id

#: Seconds of a loop's standstill that count. Both the processor time of a program and the time of
#: another client's poll must show it, because a busy machine delays polls without any stall.
STALL_S = 0.2
#: Bytes by which a program may grow over the run.
GROWTH_BYTES = 192 * 1024 * 1024
#: Seconds in which a job of another client must be accepted, and in which it must end after that.
#: One heartbeat of the fuzzer's may name another longest life. The facade then accepts no job and
#: ends no run for two leases, and runs that should have ended hold every slot.
CREATE_S = JOB_S = 60.0
#: The words of such a finding.
STALL = "stood still"
_TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Compares the programs before and after each input."""

    def __init__(self, system: System, headers: dict[str, str]) -> None:
        self._system = system
        self._headers = headers
        base = system.programs["facade"].ready["http"]
        self._jobs = (
            f"{base}/workspaces/{WORKSPACE}/items/Test.Item/{ITEM}/jobTypes/quick/instances/"
        )
        self._first_bytes: dict[str, int] = {}
        self._log_ends: dict[str, int] = {}
        self._cpu_s: dict[str, float] = {}
        self.polls: list[float] = []
        self._job = ""

    async def begin(self) -> None:
        """Runs a first job, so that the topics have records, and takes the first figures."""
        self._job = new_id()
        if fault := await self.run_job(self._job):
            raise RuntimeError(fault)
        for name, program in self._system.programs.items():
            self._first_bytes[name] = _resident_bytes(program)
            self._log_ends[name] = self._system.log(name).stat().st_size
        self.before()

    def before(self) -> None:
        """Call before an input is sent."""
        for name, program in self._system.programs.items():
            if program.process.returncode is None:
                self._cpu_s[name] = _cpu_s(program)

    async def after(self) -> list[str]:
        """Call after an input was sent. Returns what is wrong now."""
        if found := self._ended():
            return found + list(self._tracebacks())
        start = time.monotonic()
        try:
            answer = await self._system.client.get(self._jobs + self._job, headers=self._headers)
        except httpx.HTTPError as error:
            found.append(f"another client's poll failed: {error!r}")
            await asyncio.sleep(2)  # a program that ends takes a moment
            return found + self._ended() + list(self._tracebacks())
        took_s = time.monotonic() - start
        self.polls.append(took_s)
        if answer.status_code != 200:
            found.append(f"another client's poll was answered with {answer.status_code}")
        for name, program in self._system.programs.items():
            used_s = _cpu_s(program) - self._cpu_s[name]
            waited = took_s > STALL_S if name == "facade" else True
            if used_s > STALL_S and waited:
                found.append(
                    f"{name} {STALL}: {used_s:.2f} s of processor time, poll {took_s:.2f} s"
                )
            grown = _resident_bytes(program) - self._first_bytes[name]
            if grown > GROWTH_BYTES:
                found.append(f"{name} has grown by {grown >> 20} MiB")
                self._first_bytes[name] += grown
        return found + list(self._tracebacks())

    def _ended(self) -> list[str]:
        return [
            f"{name} ended with exit code {program.process.returncode}"
            for name, program in self._system.programs.items()
            if program.process.returncode is not None
        ]

    async def run_job(self, job_id: str) -> str:
        """Runs a job as another client, which repeats what is answered with 503.

        Returns what is wrong, or an empty text.
        """
        client, url = self._system.client, self._jobs + job_id
        status: object = "not created"
        try:
            async with asyncio.timeout(CREATE_S) as limit:
                while status != "Completed":
                    request = "POST" if status == "not created" else "GET"
                    body = {"invokeType": "Manual"} if request == "POST" else None
                    answer = await client.request(request, url, json=body, headers=self._headers)
                    if answer.status_code == 202:
                        status = "NotStarted"
                        limit.reschedule(asyncio.get_running_loop().time() + JOB_S)
                    elif answer.status_code == 200:
                        status = answer.json()["status"]
                    elif answer.status_code != 503:
                        return f"another client's {request} was answered with {answer.status_code}"
                    await asyncio.sleep(0.1)
        except httpx.HTTPError as error:
            return f"another client's request failed: {error!r}"
        except TimeoutError:
            return f"another client's job was {status} after {JOB_S:.0f} s"
        return ""

    def _tracebacks(self) -> Iterator[str]:
        """The last line of each traceback that was logged since the last call."""
        for name in self._system.programs:
            for text in self._new_log(self._system.log(name), name).split("Traceback (most recent")[
                1:
            ]:
                lines = text.splitlines()[1:]
                last = next(
                    (line for line in lines if line and not line.startswith((" ", "|"))), ""
                )
                yield f"{name} logged a traceback: {last[:300]}"

    def _new_log(self, path: Path, name: str) -> str:
        with path.open("rb") as log:
            log.seek(self._log_ends[name])
            text = log.read()
        self._log_ends[name] += len(text)
        return text.decode(errors="replace")


def _resident_bytes(program: Program) -> int:
    pages = Path(f"/proc/{program.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _cpu_s(program: Program) -> float:
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
