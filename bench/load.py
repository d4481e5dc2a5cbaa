"""Load over HTTP by wrk, in its own process, with new ids and a check of every answer."""

import asyncio
import secrets
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import msgspec
from msgspec import Struct

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 64


class WrongAnswerError(Exception):
    """A service gave a wrong answer, so that the measurement is void."""


class Loaded(Struct, frozen=True):
    """The counts of a wrk run."""

    answers: int
    seconds: float
    sent: int
    wrong: int
    broken: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


def why_unavailable() -> str | None:
    """Why this machine can make no load, or None."""
    return None if shutil.which("wrk") else "no wrk on PATH: apt-get install wrk"


def fresh() -> str:
    """The first digits of unused ids."""
    return secrets.token_hex(4)


async def creates(
    url: str,
    headers: dict[str, str],
    seconds: float,
    *,
    salt: str = "",
    connections: int = CONNECTIONS,
    pause_ms: float = 0,
) -> Loaded:
    """Send creates with new ids. Raises `WrongAnswerError` unless each is answered with 202."""
    arguments = ("create", "202", salt or fresh(), "0", str(round(pause_ms)))
    return await _wrk(url, headers, seconds, connections, *arguments)


async def polls(
    url: str, headers: dict[str, str], seconds: float, *, salt: str, known: int
) -> Loaded:
    """Poll created jobs. Raises `WrongAnswerError` unless each answer is a state."""
    arguments = ("poll", "200", salt, str(known), "0")
    return await _wrk(url, headers, seconds, CONNECTIONS, *arguments)


async def _wrk(
    url: str, headers: dict[str, str], seconds: float, connections: int, *arguments: str
) -> Loaded:
    options = [f"-c{connections}", "-t1", f"-d{seconds:g}s", "--timeout=10s", f"-s{SCRIPT}"]
    for name, value in headers.items():
        options += ["-H", f"{name}: {value}"]
    wrk = await asyncio.create_subprocess_exec(
        "wrk", *options, url, "--", *arguments, stdout=PIPE, stderr=PIPE
    )
    out, errors = await wrk.communicate()
    lines = [line for line in out.splitlines() if line.startswith(b"{")]
    if wrk.returncode or not lines:
        raise WrongAnswerError(f"wrk ended with {wrk.returncode}: {(errors or out).decode()}")
    loaded = msgspec.json.decode(lines[-1], type=Loaded)
    if loaded.wrong or loaded.broken or not loaded.answers:
        raise WrongAnswerError(f"{url} {arguments[0]}: {loaded}\n{out.decode()}")
    return loaded
