"""Authentication, correlation, both families of routes and limits, on a running replica."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import pytest_asyncio

from fabric_jobs.cli.dev.issuer import SigningKey
from fabric_jobs.contract import events
from fabric_jobs.contract.errors import ErrorResponse, ErrorSource
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support.programs import Program, facade, new_id, status_api
from tests.support.tokens import (
    FORGED,
    GENUINE,
    OTHER_TENANT,
    TENANT,
    Authority,
    Row,
    Sent,
    as_fabric,
    by_unknown_key,
    signed_by,
)
from tests.support.topic import Topic, topic_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = {"ActivityId": "activity-of-a-user", "RequestId": "request-of-Fabric"}
NO_SUBJECT = Row(authorization=lambda app, _: as_fabric(app, ""))
#: One row of each kind. The unit tests try all rows, which the same code decides.
SHORT = [
    "app 1.0: appid is missing",
    "app 2.0: exp is missing",
    "app 2.0: aud is a list",
    "app: has scp",
    "app: another app, 2.0",
    "app: of another publisher's tenant",
    "app: 1.0 by the issuer of 2.0",
    "app: ver is 3.0",
    "app: expired",
    "app: issuer of nobody",
    "app: audience is another",
    "app: unknown key",
    "app: no key id",
    "app: a stranger's key under a known id",
    "app: a key of another issuer",
    "app: unsigned",
    "app: HS256 by the public key",
    "app: RS384",
    "app: an extension that is no text",
    "subject 2.0: scp is missing",
    "subject 2.0: tid is an object",
    "subject: idtyp is app",
    "subject: scp goes on",
    "subject: scp begins before",
    "subject: another app",
    "subject: not yet valid",
    "subject: the header says another tenant",
    "subject: changed after it was signed",
    "tokens swapped",
    "app token for both",
    "header: none",
    "header: two",
    "header: Bearer",
    "header: an empty app token",
    "header: only the subject token",
    "header: letters beyond ASCII",
    "header: a huge app token",
    "header: huge",
    "tenant: none",
    "tenant: twice",
    "tenant: a name",
]


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """The authority whose keys the replicas use."""
    with Authority() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replica(environment: dict[str, str], authority: Authority) -> AsyncIterator[Program]:
    """A replica with the default settings: authentication is on."""
    async with facade(**(environment | authority.settings)) as running:
        yield running


class Family(NamedTuple):
    """One of the two families of routes, for one job."""

    create: tuple[str, str, Any]
    state: tuple[str, str, Any]
    cancel: tuple[str, str, Any]


ITEM = f"/workspaces/{new_id()}/items/Test.Item/{new_id()}"


def wdk(
    job_id: str, job_type: str = "nobody-runs", invoke_type: str = "Manual", **payload: int
) -> Family:
    """The WDK v1 routes, with the job's id in the path."""
    path = f"{ITEM}/jobTypes/{job_type}/instances/{job_id}"
    body = {"invokeType": invoke_type, "creationPayload": payload}
    return Family(("POST", path, body), ("GET", path, None), ("POST", f"{path}/cancel", None))


def remote(job_id: str, job_type: str = "nobody-runs", **payload: int) -> Family:
    """The routes of remote jobs, with the job's id in the body."""
    body = {"jobType": job_type, "jobInstanceId": job_id}
    return Family(
        ("POST", f"{ITEM}/jobs/onCreateJobInstance", body | {"executionData": payload}),
        ("POST", f"{ITEM}/jobs/onGetJobInstanceStatus", body),
        ("POST", f"{ITEM}/jobs/onCancelJobInstance", body),
    )


FAMILIES: list[Callable[..., Family]] = [wdk, remote]


class Client:
    """A client of a replica; each answer that is no success must be an `ErrorResponse`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, operation: tuple[str, str, Any], sent: Sent, **ids: str) -> httpx.Response:
        """The answer to an operation with these headers."""
        method, path, body = operation
        authorization, tenants = sent
        headers = [
            *(("Authorization", value) for value in authorization),
            *(("x-ms-client-tenant-id", value) for value in tenants),
            *ids.items(),
        ]
        answer = await self._http.request(
            method,
            path,
            json=body,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
        )
        if not answer.is_success:
            error_of(answer)
        return answer


@asynccontextmanager
async def calling(replica: Program) -> AsyncIterator[Client]:
    """A client of the replica."""
    async with httpx.AsyncClient(base_url=replica.ready["http"], timeout=30) as http:
        yield Client(http)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(replica: Program) -> AsyncIterator[Client]:
    """A client of the default replica."""
    async with calling(replica) as client:
        yield client


def error_of(answer: httpx.Response) -> ErrorResponse:
    """The answer's body, which must have all fields of Fabric's `ErrorResponse`."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert {"errorCode", "message", "source", "isPermanent"} <= set(body)
    assert set(body) <= {
        *("errorCode", "message", "source", "isPermanent", "messageParameters", "moreDetails")
    }
    assert body["message"]
    assert "Traceback" not in answer.text
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    return msgspec.json.decode(answer.content, type=ErrorResponse)


def summary(answer: httpx.Response) -> tuple[int, str, str, bool | None]:
    """Status, code, source and permanence of an error answer."""
    error = error_of(answer)
    return answer.status_code, error.error_code, error.source.value, error.is_permanent


UNAUTHORIZED = (401, "AuthError", ErrorSource.EXTERNAL.value, True)
NOT_FOUND = (404, "JobNotFound", ErrorSource.USER.value, True)
CONFLICT = (409, "JobConflict", ErrorSource.USER.value, True)
TOO_MANY = (429, "TooManyRequests", ErrorSource.USER.value, False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def topic_log(environment: dict[str, str], replica: Program) -> AsyncIterator[Topic]:
    """The topic that the replicas of this file share."""
    async with topic_of(environment) as topic:
        yield topic


@pytest.mark.parametrize("name", SHORT)
async def test_request_not_from_fabric_gets_401_and_appends_nothing(
    client: Client, authority: Authority, topic_log: Topic, name: str
) -> None:
    """All six operations refuse the caller, also about a job that exists."""
    job_id = new_id()
    genuine = Row().sent(authority)
    made = await client.send(wdk(job_id).create, genuine)
    before = await topic_log.ends()
    sent = FORGED[name].sent(authority)
    answers = [
        await client.send(operation, sent)
        for family in FAMILIES
        for operation in (family(new_id()).create, family(job_id).state, family(job_id).cancel)
    ]

    assert made.status_code == 202
    assert [summary(answer) for answer in answers] == [UNAUTHORIZED] * 6
    assert await topic_log.ends() == before
    assert (await client.send(wdk(job_id).state, genuine)).json() == {"status": "NotStarted"}


@pytest.mark.parametrize("row", GENUINE.values(), ids=GENUINE.keys())
async def test_request_from_fabric_creates_reads_and_cancels_through_both_families(
    client: Client, authority: Authority, row: Row
) -> None:
    """A job that one family of routes creates is read and cancelled through the other."""
    sent = row.sent(authority)
    for this, that, created in ((wdk, remote, 202), (remote, wdk, 201)):
        job_id = new_id()
        made = await client.send(this(job_id).create, sent)
        seen = await client.send(that(job_id).state, sent)
        ended = await client.send(that(job_id).cancel, sent)
        after = await client.send(this(job_id).state, sent)

        assert made.status_code == created
        assert made.content == b"" if this is wdk else made.json() == {"status": "NotStarted"}
        assert seen.json() == {"status": "NotStarted"}
        assert ended.json()["status"] == "Cancelled"
        assert after.json() == ended.json()
        assert {answer.status_code for answer in (seen, ended, after)} == {200}


async def test_create_repeated_through_the_other_family_appends_one_event(
    client: Client, authority: Authority, topic_log: Topic
) -> None:
    """Equal content succeeds without a second event; other content is a conflict (409)."""
    sent = Row().sent(authority)
    for this, that, codes in ((wdk, remote, [202, 201]), (remote, wdk, [201, 202])):
        job_id = new_id()
        made = [await client.send(one(job_id, a=1).create, sent) for one in (this, that)]
        others = [
            await client.send(that(job_id, a=2).create, sent),
            await client.send(this(job_id, a=2).create, sent),
            await client.send(that(job_id, job_type="other", a=1).create, sent),
        ]
        found = await topic_log.events_of(job_id)

        assert [answer.status_code for answer in made] == codes
        assert [summary(answer) for answer in others] == [CONFLICT] * 3
        assert [events.type_of(event) for event in found] == ["fabric.jobs.requested"]


@pytest.mark.parametrize("family", FAMILIES)
async def test_request_of_another_tenant_is_answered_as_for_an_unknown_job(
    client: Client, authority: Authority, topic_log: Topic, family: Callable[..., Family]
) -> None:
    """A genuine token of another tenant reads nothing and changes nothing."""
    job_id, unknown = new_id(), new_id()
    mine = Row().sent(authority)
    of_other = Row(
        subject={"tid": OTHER_TENANT, "iss": lambda right: right.replace(TENANT, OTHER_TENANT)},
        tenants=(OTHER_TENANT,),
    ).sent(authority)
    await client.send(family(job_id).create, mine)
    before = await topic_log.ends()
    refused = [
        await client.send(operation, of_other)
        for known in (job_id, unknown)
        for operation in (family(known).state, family(known).cancel)
    ]
    conflict = await client.send(family(job_id).create, of_other)

    assert [summary(answer) for answer in refused] == [NOT_FOUND] * 4
    assert len({answer.text for answer in refused}) == 1
    assert summary(conflict) == CONFLICT
    assert await topic_log.ends() == before
    assert (await client.send(family(job_id).state, mine)).json() == {"status": "NotStarted"}


async def test_create_without_subject_token_is_refused_for_manual_jobs_alone(
    client: Client, authority: Authority, topic_log: Topic
) -> None:
    """Scheduled creates, and the family that names no invoke type, need only the app token."""
    sent = NO_SUBJECT.sent(authority)
    refused, scheduled, unsaid = new_id(), new_id(), new_id()
    before = await topic_log.ends()
    manual = await client.send(wdk(refused, invoke_type="Manual").create, sent)
    after = await topic_log.ends()
    made = [
        await client.send(wdk(scheduled, invoke_type="Scheduled").create, sent),
        await client.send(remote(unsaid).create, sent),
    ]

    assert summary(manual) == UNAUTHORIZED
    assert "Manual" in manual.json()["message"]
    assert after == before
    assert [answer.status_code for answer in made] == [202, 201]


@pytest.mark.parametrize("family", FAMILIES)
async def test_state_and_cancel_with_the_app_token_alone_succeed(
    client: Client, authority: Authority, family: Callable[..., Family]
) -> None:
    """No subject token is needed, also for a user's job; another tenant gets 404."""
    job_id, sent = new_id(), NO_SUBJECT.sent(authority)
    other = sent[0], [OTHER_TENANT]
    await client.send(family(job_id).create, Row().sent(authority))

    assert summary(await client.send(family(job_id).state, other)) == NOT_FOUND
    assert summary(await client.send(family(job_id).cancel, other)) == NOT_FOUND
    assert (await client.send(family(job_id).state, sent)).json() == {"status": "NotStarted"}
    assert (await client.send(family(job_id).cancel, sent)).json()["status"] == "Cancelled"


@pytest.mark.parametrize("family", FAMILIES)
async def test_request_ids_are_returned_and_kept_with_the_job(
    replica: Program,
    client: Client,
    authority: Authority,
    topic_log: Topic,
    family: Callable[..., Family],
) -> None:
    """Fabric's ids are in the headers of each success, in the event and in `GetJob`."""
    job_id, sent = new_id(), Row().sent(authority)
    made = await client.send(family(job_id).create, sent, **IDS)
    others = [
        await client.send(operation, sent, ActivityId="later", RequestId="later")
        for operation in (family(job_id).state, family(job_id).create, family(job_id).cancel)
    ]
    async with status_api(replica) as stub:
        job = (await stub.GetJob(pb.GetJobRequest(job_id=job_id))).job
    found = await topic_log.events_of(job_id)

    assert made.is_success
    assert {name: made.headers[name] for name in IDS} == IDS
    for answer in others:
        assert answer.is_success
        assert (answer.headers["ActivityId"], answer.headers["RequestId"]) == ("later", "later")
    assert (job.activity_id, job.request_id) == tuple(IDS.values())
    assert {(e.data.state.activity_id, e.data.state.request_id) for e in found} == {
        tuple(IDS.values())
    }
    assert events.type_of(found[0]) == "fabric.jobs.requested"


async def test_request_ids_are_returned_with_every_error(
    client: Client, authority: Authority
) -> None:
    """Fabric's ids are in the headers and in `moreDetails` of each error."""
    job_id, sent = new_id(), Row().sent(authority)
    nobody: Sent = [], [TENANT]
    _, path, body = wdk(job_id).create
    await client.send(wdk(job_id).create, sent)
    failing = {
        400: (("POST", path, {"invokeType": []}), sent),
        401: (("POST", path, body), nobody),
        404: (("GET", "/no/such/route", None), sent),
        405: (("DELETE", path, None), sent),
        409: (wdk(job_id, a=3).create, sent),
        413: (("POST", path, {"invokeType": "x" * 300_000}), sent),
    }
    for status, (operation, headers) in failing.items():
        answer = await client.send(operation, headers, **IDS)
        details = answer.json()["moreDetails"]
        quoted = {
            pair["name"]: pair["value"]
            for detail in details
            for pair in detail["additionalParameters"]
        }

        assert answer.status_code == status
        assert {name: answer.headers[name] for name in IDS} == IDS
        assert quoted == IDS
    missing = await client.send(wdk(new_id()).state, sent, **IDS)
    assert summary(missing) == NOT_FOUND
    assert IDS["RequestId"] in missing.text


async def test_request_without_ids_is_answered_without_ids(
    client: Client, authority: Authority
) -> None:
    """The facade invents no ids."""
    answer = await client.send(wdk(new_id()).state, Row().sent(authority))

    assert not {"activityid", "requestid"} & set(answer.headers)
    assert "moreDetails" not in answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(environment: dict[str, str], authority: Authority) -> AsyncIterator[Client]:
    """A client of a replica that serves few types, and few jobs per tenant."""
    settings = {
        "FABRIC_JOBS_ITEM_TYPES": "Test.Item,Other.Item",
        "FABRIC_JOBS_JOB_TYPES": "few",
        "FABRIC_JOBS_TENANT_UNFINISHED_JOBS": "2",
        "FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED": "Scheduled",
    }
    async with (
        facade(**(environment | authority.settings | settings)) as running,
        calling(running) as client,
    ):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow(environment: dict[str, str], authority: Authority) -> AsyncIterator[Client]:
    """A client of a replica that accepts a tenant's creates at a very low rate."""
    settings = {"FABRIC_JOBS_TENANT_CREATES_PER_S": "0.001"}
    async with (
        facade(**(environment | authority.settings | settings)) as running,
        calling(running) as client,
    ):
        yield client


def by_tenant_alone() -> Row:
    """A request of Fabric for a new tenant and without a user."""
    return Row(authorization=NO_SUBJECT.authorization, tenants=(new_id(),))


async def test_create_that_the_settings_exclude_is_refused_and_appends_nothing(
    strict: Client, authority: Authority, topic_log: Topic
) -> None:
    """The settings exclude item types, job types, and invoke types that need a user."""
    job_id, sent = new_id(), by_tenant_alone().sent(authority)
    before = await topic_log.ends()
    method, path, body = wdk(job_id, "few").create
    refused = [
        await strict.send(wdk(job_id, "many").create, sent),
        await strict.send(remote(job_id, "many").create, sent),
        await strict.send((method, path.replace("Test.Item", "A.Item"), body), sent),
        await strict.send(wdk(job_id, "few", "Scheduled").create, sent),
    ]
    after = await topic_log.ends()
    served = await strict.send(wdk(job_id, "few", "Manual").create, sent)

    assert [summary(answer)[:2] for answer in refused] == [
        (404, "JobTypeNotServed"),
        (404, "JobTypeNotServed"),
        (404, "ItemTypeNotServed"),
        (401, "AuthError"),
    ]
    assert after == before
    assert served.status_code == 202


async def test_tenant_at_its_limit_of_unfinished_jobs_gets_429(
    strict: Client, authority: Authority, topic_log: Topic
) -> None:
    """The limit holds for new jobs of both families; known jobs and other tenants are served."""
    sent, of_other = (by_tenant_alone().sent(authority) for _ in range(2))
    one, two, three = (new_id() for _ in range(3))
    made = [
        await strict.send(wdk(one, "few").create, sent),
        await strict.send(remote(two, "few").create, sent),
    ]
    before = await topic_log.ends()
    beyond = [await strict.send(family(three, "few").create, sent) for family in FAMILIES]
    after = await topic_log.ends()
    again = await strict.send(wdk(one, "few").create, sent)
    other = await strict.send(wdk(new_id(), "few").create, of_other)
    await strict.send(wdk(two, "few").cancel, sent)
    freed = await strict.send(wdk(three, "few").create, sent)

    assert [answer.status_code for answer in made] == [202, 201]
    assert [summary(answer) for answer in beyond] == [TOO_MANY] * 2
    assert after == before
    assert [answer.status_code for answer in (again, other, freed)] == [202, 202, 202]


async def test_key_rollover_refuses_no_request(strict: Client, authority: Authority) -> None:
    """While both keys are in use, the replica asks the authority once for the new key."""
    authority.keys.insert(0, SigningKey())
    key = authority.keys[0]
    job_id, before = new_id(), by_tenant_alone()
    after = msgspec.structs.replace(before, sign_app=lambda _, claims: signed_by(key, claims))
    old, new = before.sent(authority), after.sent(authority)
    fetches = authority.key_fetches
    await strict.send(wdk(job_id, "few").create, old)
    polled = [await strict.send(wdk(job_id, "few").state, sent) for sent in (new, old, new)]

    assert [answer.status_code for answer in polled] == [200] * 3
    assert authority.key_fetches == fetches + 1


async def test_tenant_above_its_rate_of_creates_gets_429(
    slow: Client, authority: Authority
) -> None:
    """The rate holds for new jobs of both families; known jobs and other tenants are served."""
    sent, of_other = (by_tenant_alone().sent(authority) for _ in range(2))
    job_id = new_id()
    made = await slow.send(remote(job_id).create, sent)
    beyond = [
        await slow.send(remote(new_id()).create, sent),
        await slow.send(wdk(new_id(), invoke_type="Scheduled").create, sent),
    ]
    again = await slow.send(remote(job_id).create, sent)
    other = await slow.send(remote(new_id()).create, of_other)

    assert [summary(answer) for answer in beyond] == [TOO_MANY] * 2
    assert [answer.status_code for answer in (made, again, other)] == [201] * 3


async def test_unknown_key_while_the_authority_is_down_gets_503(
    slow: Client, authority: Authority
) -> None:
    """The key may be a new one. Tokens of known keys are served as before."""
    job_id, row = new_id(), by_tenant_alone()
    await slow.send(remote(job_id).create, row.sent(authority))
    authority.down = True
    try:
        unknown = msgspec.structs.replace(row, sign_app=by_unknown_key).sent(authority)
        away = [await slow.send(family(job_id).state, unknown) for family in FAMILIES]
        known = await slow.send(remote(job_id).state, row.sent(authority))
    finally:
        authority.down = False

    assert [summary(answer) for answer in away] == [(503, "Unavailable", "System", False)] * 2
    assert known.json() == {"status": "NotStarted"}


_REFUSED = {
    "half configured": (
        {"FABRIC_JOBS_PUBLISHER_TENANT_ID": TENANT},
        ("FABRIC_JOBS_AUDIENCE", "FABRIC_JOBS_CLIENT_ID"),
    ),
    "open to all": (
        {"FABRIC_JOBS_AUTHENTICATION": "off", "FABRIC_JOBS_HTTP_ADDRESS": "0.0.0.0:0"},
        ("FABRIC_JOBS_HTTP_ADDRESS", "FABRIC_JOBS_AUTHENTICATION"),
    ),
}


@pytest.mark.parametrize(("settings", "named"), _REFUSED.values(), ids=_REFUSED.keys())
async def test_facade_with_incomplete_settings_exits_with_code_1(
    settings: dict[str, str], named: tuple[str, ...]
) -> None:
    """One line names the missing settings. No port is opened and no authority is asked."""
    ours = {name: text for name, text in os.environ.items() if "FABRIC_JOBS" not in name}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fabric_jobs.facade", env=ours | settings, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    lines = err.decode().splitlines()

    assert (process.returncode, out) == (1, b"")
    assert len(lines) == 1
    assert [name for name in named if name not in lines[0]] == []
