"""Calls the facade over HTTP as Fabric would."""

import asyncio
import contextlib
import ipaddress
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Raw, Struct, field

from fabric_jobs.cli.clients.identity import NoTokensError
from fabric_jobs.cli.errors import InputError
from fabric_jobs.contract.jobs import ErrorResponse, JobInstanceStatus, Timestamp

FINAL = {JobInstanceStatus.COMPLETED, JobInstanceStatus.FAILED, JobInstanceStatus.CANCELLED}

_ANSWER_S = 10.0
#: Seconds that a wait outlasts a facade that doesn't answer, as while it is started anew.
_PATIENCE_S = 30.0


def new_guid() -> str:
    """An id as Fabric makes them."""
    return str(uuid.uuid4())


class JobInstance(Struct, frozen=True, kw_only=True):
    """What a request is about: the parts of its path."""

    item_type: str
    job_type: str
    workspace_id: str = field(default_factory=new_guid)
    item_id: str = field(default_factory=new_guid)
    job_id: str = field(default_factory=new_guid)

    @property
    def path(self) -> str:
        """The path after the base path."""
        item_type, job_type = quote(self.item_type, safe=""), quote(self.job_type, safe="")
        return (
            f"/workspaces/{self.workspace_id}/items/{item_type}/{self.item_id}"
            f"/jobTypes/{job_type}/instances/{self.job_id}"
        )


class JobInstanceState(Struct, frozen=True, rename="camel"):
    """What the facade says of a job (WDK `ItemJobInstanceState`)."""

    status: JobInstanceStatus
    start_time_utc: Timestamp | None = None
    end_time_utc: Timestamp | None = None
    error_details: ErrorResponse | None = None

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.status in FINAL


class FabricError(InputError):
    """The facade didn't do what it was asked."""


class UnavailableError(FabricError):
    """The facade gave no answer, or one that says to ask again."""


class UnreachableError(UnavailableError):
    """Nobody takes the connection, so nothing was asked."""


class Fabric:
    """A client in Fabric's place: its paths, headers and bodies."""

    def __init__(
        self,
        url: str,
        identity: httpx.Auth,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = base_url(url)
        self._http = httpx.AsyncClient(
            auth=identity,
            headers={"ActivityId": new_guid()},
            timeout=_ANSWER_S,
            # A proxy of the environment's can't know this machine's own addresses.
            trust_env=not _on_this_machine(self.url),
            transport=transport,
        )

    async def __aenter__(self) -> "Fabric":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def create(self, job: JobInstance, payload: Raw | None = None) -> None:
        """Ask for the job, as a user's click does. Raises `FabricError`."""
        body: dict[str, Any] = {"invokeType": "Manual"}
        if payload is not None:
            body["creationPayload"] = payload
        try:
            await self._call("POST", job.path, 202, msgspec.json.encode(body))
        except UnreachableError:
            raise
        except UnavailableError as error:
            again = "The job may start all the same; to ask again safely, add --job-id"
            raise UnavailableError(f"{error.message} {again} {job.job_id}.") from error

    async def state(self, job: JobInstance) -> JobInstanceState:
        """The job's state. Raises `FabricError`."""
        answer = await self._call("GET", job.path, 200)
        try:
            return msgspec.json.decode(answer.content, type=JobInstanceState)
        except msgspec.MsgspecError as error:
            raise FabricError(f"{self.url} answered no ItemJobInstanceState: {error}.") from error

    async def states(self, job: JobInstance, every_s: float) -> AsyncIterator[JobInstanceState]:
        """The job's state now and every so many seconds, up to the final one."""
        answered = time.monotonic()
        final = False
        while not final:
            try:
                state = await self.state(job)
            except UnavailableError:
                if time.monotonic() - answered > _PATIENCE_S:
                    raise
            else:
                answered, final = time.monotonic(), state.final
                yield state
            if not final:
                await asyncio.sleep(every_s)

    async def _call(
        self, method: str, path: str, expected: int, body: bytes | None = None
    ) -> httpx.Response:
        headers = {"RequestId": new_guid()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = self.url + path
        try:
            answer = await self._http.request(method, url, headers=headers, content=body)
        except NoTokensError as error:
            raise UnreachableError(str(error)) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            remedy = "Start it with `fabric-jobs dev`, or name another with --http."
            raise UnreachableError(f"Nobody answers at {self.url}. {remedy}") from error
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"{self.url} gave no answer: {reason}.") from error
        if answer.status_code == expected:
            return answer
        kind = UnavailableError if answer.status_code in (429, 503) else FabricError
        raise kind(f"{answer.status_code} {error_line(answer.content)}")


def error_line(body: bytes) -> str:
    """What an `ErrorResponse` says, in a line; the body's beginning where it is none."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        error = msgspec.json.decode(body, type=ErrorResponse)
        return f"{error.error_code}: {error.message}"
    return f"with no ErrorResponse: {body[:200].decode(errors='replace') or 'an empty body'}"


def base_url(text: str) -> str:
    """The URL without its last slash. Raises `InputError` where it can't be called."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535:
        raise InputError(f"{text!r} is no URL such as http://127.0.0.1:5000/workload.")
    return text.rstrip("/")


def _on_this_machine(url: str) -> bool:
    host = httpx.URL(url).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
