"""A client of the facade's HTTP API, which sends what Fabric sends."""

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
from fabric_jobs.cli.clients.limits import MAX_OUTAGE_S, TIMEOUT_S
from fabric_jobs.cli.errors import InputError
from fabric_jobs.contract.errors import ErrorResponse
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.contract.scalars import Timestamp

FINAL = {JobInstanceStatus.COMPLETED, JobInstanceStatus.FAILED, JobInstanceStatus.CANCELLED}


def new_guid() -> str:
    """Returns a new id in the form of Fabric's ids."""
    return str(uuid.uuid4())


class JobInstance(Struct, frozen=True, kw_only=True):
    """The ids and types of a job instance, which are the parts of its URL path."""

    item_type: str
    job_type: str
    workspace_id: str = field(default_factory=new_guid)
    item_id: str = field(default_factory=new_guid)
    job_id: str = field(default_factory=new_guid)

    @property
    def path(self) -> str:
        """The URL path below the facade's base path."""
        item_type, job_type = quote(self.item_type, safe=""), quote(self.job_type, safe="")
        return (
            f"/workspaces/{self.workspace_id}/items/{item_type}/{self.item_id}"
            f"/jobTypes/{job_type}/instances/{self.job_id}"
        )


class JobInstanceState(Struct, frozen=True, rename="camel"):
    """The state of a job: `ItemJobInstanceState` of Fabric's Workload Development Kit."""

    status: JobInstanceStatus
    start_time_utc: Timestamp | None = None
    end_time_utc: Timestamp | None = None
    error_details: ErrorResponse | None = None

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.status in FINAL


class FabricError(InputError):
    """The facade refused a call, or answered it with something else than Fabric's contract."""


class UnavailableError(FabricError):
    """The facade gave no answer, or an answer that asks for another try."""


class UnreachableError(UnavailableError):
    """The facade or the token issuer takes no connection, so no call was sent."""


class Fabric:
    """A client that sends Fabric's paths, headers and bodies to one facade."""

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
            timeout=TIMEOUT_S,
            # A proxy that the environment names can't reach a loopback address of this machine.
            trust_env=not _on_this_machine(self.url),
            transport=transport,
        )

    async def __aenter__(self) -> "Fabric":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def create(self, job: JobInstance, payload: Raw | None = None) -> None:
        """Starts the job, as a user's click in Fabric does. Raises `FabricError`."""
        body: dict[str, Any] = {"invokeType": "Manual"}
        if payload is not None:
            body["creationPayload"] = payload
        try:
            await self._call("POST", job.path, 202, msgspec.json.encode(body))
        except UnreachableError:
            raise
        except UnavailableError as error:
            again = "The job may still start. To try again without starting it twice, add --job-id"
            raise UnavailableError(f"{error.message} {again} {job.job_id}.") from error

    async def state(self, job: JobInstance) -> JobInstanceState:
        """Returns the job's state. Raises `FabricError`."""
        answer = await self._call("GET", job.path, 200)
        try:
            return msgspec.json.decode(answer.content, type=JobInstanceState)
        except msgspec.MsgspecError as error:
            problem = "answered with something else than an ItemJobInstanceState"
            raise FabricError(f"{self.url} {problem}: {error}.") from error

    async def states(self, job: JobInstance, every_s: float) -> AsyncIterator[JobInstanceState]:
        """Yields the job's state now and every `every_s` seconds, up to the final state.

        Raises `FabricError` if the facade refuses, or is unavailable for `MAX_OUTAGE_S`.
        """
        answered = time.monotonic()
        final = False
        while not final:
            try:
                state = await self.state(job)
            except UnavailableError:
                if time.monotonic() - answered > MAX_OUTAGE_S:
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
            remedy = "Start one with `fabric-jobs dev`, or name another URL with --http."
            raise UnreachableError(f"No facade answers at {self.url}. {remedy}") from error
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"{self.url} gave no answer: {reason}.") from error
        if answer.status_code == expected:
            return answer
        kind = UnavailableError if answer.status_code in (429, 503) else FabricError
        raise kind(f"{answer.status_code} {error_line(answer.content)}")


def error_line(body: bytes) -> str:
    """Returns the code and message of an `ErrorResponse`, or the beginning of another body."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        error = msgspec.json.decode(body, type=ErrorResponse)
        return f"{error.error_code}: {error.message}"
    return f"with no ErrorResponse: {body[:200].decode(errors='replace') or 'an empty body'}"


def base_url(text: str) -> str:
    """Returns the URL without its last slash. Raises `InputError` if it is not an HTTP URL."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535:
        raise InputError(f"{text!r} is not a URL such as http://127.0.0.1:5000/workload.")
    return text.rstrip("/")


def _on_this_machine(url: str) -> bool:
    host = httpx.URL(url).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
