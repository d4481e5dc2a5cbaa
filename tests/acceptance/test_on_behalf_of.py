"""Jobs act on behalf of the user who started them, on the real programs and a local authority."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import UNSET

from fabric_jobs.cli.dev.token_endpoint import ON_BEHALF_OF
from fabric_jobs.cli.dev.token_failures import (
    AWAY,
    CONSENT_NEEDED,
    SECOND_FACTOR_NEEDED,
    THROTTLED,
    Failure,
)
from fabric_jobs.status.v1 import job_status_pb2 as pb
from tests.support import command
from tests.support.brokers import Cluster
from tests.support.grpc_errors import raised
from tests.support.programs import (
    Fabric,
    Program,
    addresses,
    executor,
    facade,
    new_id,
    new_pool,
    read_page,
    status_api,
)
from tests.support.sealing import ring_key
from tests.support.token_handlers import SCOPE
from tests.support.user_authority import UserAuthority, run_user_authority

HANDLERS = "tests.support.token_handlers:executor"
OTHER_TENANT = "c0000000-0000-4000-8000-00000000000b"


class Authority(NamedTuple):
    """The authority, and the settings of programs that use it."""

    users: UserAuthority
    environment: dict[str, str]


@pytest.fixture
def authority(apache: Cluster, topic: str) -> Iterator[Authority]:
    """A running authority, whose tokens live for seconds."""
    with run_user_authority() as users:
        environment = apache.environment(topic) | users.settings
        environment |= {"FABRIC_JOBS_SEALING_KEYS": ring_key("one")}
        yield Authority(users, environment)


@asynccontextmanager
async def stack(authority: Authority, **more: str) -> AsyncIterator[tuple[Program, Program]]:
    """A facade and an executor."""
    environment = authority.environment | more
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment) as running,
    ):
        yield one, running


async def until_tokens(journal: Path, number: int) -> None:
    """Returns once the handler has used so many different tokens."""
    async with asyncio.timeout(60):
        while not journal.exists() or len(set(journal.read_text().split())) < number:
            await asyncio.sleep(0.1)


async def metric(program: Program, name: str) -> dict[str, float]:
    """The values of a metric, by its labels as Prometheus spells them."""
    text = await read_page(program, "/metrics")
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


@pytest.mark.parametrize("job_type", ["sync", "process", "async-credential", "app", "user"])
async def test_handler_of_each_kind_gets_tokens(
    authority: Authority, tmp_path: Path, job_type: str
) -> None:
    """In the event loop, in a thread, in a process; of the user and of the workload."""
    journal = tmp_path / "journal"
    async with stack(authority) as (one, _):
        fabric = Fabric(one, job_type, headers=authority.users.headers())
        async with fabric:
            job_id = new_id()
            created = await fabric.create(job_id, {"journal": str(journal)})
            assert created.status_code == 202, created.text
            state = await fabric.until(job_id, "Completed", "Failed")
    assert state["status"] == "Completed", state
    assert authority.users.tokens_in(journal)


async def test_job_outlives_its_token_while_both_facades_restart(
    authority: Authority, tmp_path: Path
) -> None:
    """The job gets new tokens, from whichever facade there is, until it ends."""
    journal, until = tmp_path / "journal", tmp_path / "until"
    environment = authority.environment
    async with (
        facade(**environment) as one,
        facade(**environment) as two,
        executor(HANDLERS, one, two, **environment),
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
        AsyncExitStack() as successors,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(journal), "until": str(until)})
        await until_tokens(journal, 2)
        for program in (one, two):
            assert await program.stop() == 0
            await successors.enter_async_context(facade(**environment | addresses(program)))
        await until_tokens(journal, len(set(journal.read_text().split())) + 2)
        until.touch()
        state = await fabric.until(job_id, "Completed", "Failed")
    assert state["status"] == "Completed", state
    assert len(set(authority.users.tokens_in(journal))) >= 4


async def test_sealing_key_is_rotated_while_the_job_runs(
    authority: Authority, tmp_path: Path
) -> None:
    """A facade with both keys opens what the old key sealed, and seals with the new one."""
    journal, until = tmp_path / "journal", tmp_path / "until"
    old, new = authority.environment["FABRIC_JOBS_SEALING_KEYS"], ring_key("two")
    # With open payloads the ring seals the grants alone, and the old key is needed by nothing else.
    environment = authority.environment | {"FABRIC_JOBS_SEALING": "open"}
    async with (
        facade(**environment) as one,
        executor(HANDLERS, one, **environment),
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(journal), "until": str(until)})
        await until_tokens(journal, 1)
        assert await one.stop() == 0
        for ring in (f"{new},{old}", new):
            rotated = environment | {"FABRIC_JOBS_SEALING_KEYS": ring}
            before = len(set(journal.read_text().split()))
            async with facade(**rotated | addresses(one)) as successor:
                # The second refresh uses what the first one sealed with the new key.
                await until_tokens(journal, before + 2)
                if ring == new:
                    until.touch()
                    state = await fabric.until(job_id, "Completed", "Failed")
                await successor.stop()
    assert state["status"] == "Completed", state


@pytest.mark.parametrize("failure", [CONSENT_NEEDED, SECOND_FACTOR_NEEDED])
async def test_create_whose_user_must_act_is_refused_and_accepts_nothing(
    authority: Authority, tmp_path: Path, failure: Failure
) -> None:
    """The answer has what Fabric's front end needs. After the consent the create is accepted."""
    endpoint = authority.users.endpoint
    endpoint.failures[ON_BEHALF_OF] = failure
    async with (
        stack(authority) as (one, _),
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
    ):
        job_id = new_id()
        refused = await fabric.create(job_id, {"journal": str(tmp_path / "journal")})
        unknown = await fabric.state(job_id)
        endpoint.failures.clear()
        accepted = await fabric.create(job_id, {"journal": str(tmp_path / "journal")})
        state = await fabric.until(job_id, "Completed", "Failed")

    body = refused.json()
    detail = body["moreDetails"][0]
    values = {pair["name"]: pair["value"] for pair in detail["additionalParameters"]}
    claims = "" if failure.claims is UNSET else failure.claims
    encoded = base64.b64encode(claims.encode()).decode()
    assert (refused.status_code, unknown.status_code) == (401, 404)
    assert refused.headers["www-authenticate"] == (
        f'Bearer claims="{encoded}", error="{failure.error}"'
    )
    assert (body["errorCode"], body["source"], body["isPermanent"]) == (
        "AuthUIRequired",
        "System",
        False,
    )
    assert (detail["errorCode"], detail["message"]) == (failure.error, failure.description)
    assert values.pop("additionalScopesToConsent") == SCOPE
    assert values == (
        {
            "claimsForConditionalAccessPolicy": claims,
            "claimsForCondtionalAccessPolicy": claims,
        }
        if claims
        else {}
    )
    assert (accepted.status_code, state["status"]) == (202, "Completed")


@pytest.mark.parametrize("failure", [AWAY, THROTTLED])
async def test_create_while_the_authority_is_away_accepts_nothing_and_can_be_repeated(
    authority: Authority, tmp_path: Path, failure: Failure
) -> None:
    """The facade tries again for the deadline of a command, and then answers 503."""
    endpoint = authority.users.endpoint
    endpoint.failures[ON_BEHALF_OF] = failure
    async with (
        stack(authority, FABRIC_JOBS_APPEND_DEADLINE_S="1.5") as (one, _),
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
    ):
        job_id = new_id()
        refused = await fabric.create(job_id, {"journal": str(tmp_path / "journal")})
        unknown = await fabric.state(job_id)
        endpoint.failures.clear()
        async with asyncio.timeout(20):
            while (await fabric.create(job_id, {"journal": str(tmp_path / "journal")})).is_error:
                await asyncio.sleep(0.2)  # MSAL keeps an answer that asks for patience for so long
        state = await fabric.until(job_id, "Completed", "Failed")

    reasons = [
        pair["value"]
        for detail in refused.json()["moreDetails"]
        for pair in detail["additionalParameters"]
        if pair["name"] == "reason"
    ]
    assert (refused.status_code, unknown.status_code) == (503, 404)
    assert reasons == ["AUTHORITY_UNREACHABLE"]
    assert refused.headers["retry-after"]
    assert state["status"] == "Completed", state


async def test_create_with_a_refused_secret_is_answered_503_and_said_at_start(
    authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is accepted. The facade's log and `check` name the reason."""
    wrong = authority.environment | {"FABRIC_JOBS_CLIENT_SECRET": "not-the-secret"}
    async with (
        facade(**wrong) as one,
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
    ):
        refused = await fabric.create(new_id())
        checked = await command.run("check", environment=wrong)

    (line,) = (line for line in checked.stdout if line.split()[1:2] == ["client"])
    assert refused.status_code == 503
    assert "EXCHANGE_REFUSED" in refused.text
    assert line.startswith("failed")
    assert "AADSTS7000215" in line
    assert re.search("no job can get a user's token: .*AADSTS7000215", capfd.readouterr().err)


async def test_user_revoked_while_the_job_runs_fails_the_job_with_the_details(
    authority: Authority, tmp_path: Path
) -> None:
    """The job's error is the one that a create would have got."""
    journal = tmp_path / "journal"
    async with (
        stack(authority) as (one, _),
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
    ):
        job_id = new_id()
        await fabric.create(job_id, {"journal": str(journal), "until": "/never"})
        await until_tokens(journal, 1)
        authority.users.endpoint.revoked.add(authority.users.user())
        state = await fabric.until(job_id, "Completed", "Failed")

    error = state["errorDetails"]
    assert (state["status"], error["errorCode"], error["source"]) == (
        "Failed",
        "AuthUIRequired",
        "System",
    )
    assert error["moreDetails"][0]["errorCode"] == "invalid_grant"
    assert {"name": "additionalScopesToConsent", "value": SCOPE} in error["moreDetails"][0][
        "additionalParameters"
    ]


async def test_job_without_a_user_gets_a_permanent_error_and_the_apps_token(
    authority: Authority, tmp_path: Path
) -> None:
    """A schedule's create has no user's token, and neither has a job that an operator retried."""
    async with (
        stack(authority) as (one, _),
        Fabric(one, "user", headers=authority.users.headers(subject=False)) as fabric,
        status_api(one) as status,
    ):
        job_id, again = new_id(), new_id()
        payload = {"journal": str(tmp_path / "journal")}
        await fabric.create(job_id, payload, invoke_type="Scheduled")
        state = await fabric.until(job_id, "Completed", "Failed")
        await status.RetryJob(pb.RetryJobRequest(job_id=job_id, new_job_id=again))
        retried = await fabric.until(again, "Completed", "Failed")

    assert state["errorDetails"]["errorCode"] == "NoUserToken"
    assert state["errorDetails"]["isPermanent"]
    assert "FABRIC_JOBS_SUBJECT_TOKEN_REQUIRED" in state["errorDetails"]["message"]
    assert f"the job {job_id} again" in retried["errorDetails"]["message"]


async def test_guest_gets_a_token_of_the_tenant_in_the_header(
    authority: Authority, tmp_path: Path
) -> None:
    """Each exchange and refresh is made in the tenant of its job."""
    async with stack(authority) as (one, _):
        for tenant in (OTHER_TENANT, "c0000000-0000-4000-8000-00000000000c"):
            headers = authority.users.headers(tenant=tenant)
            async with Fabric(one, "sync", headers=headers) as fabric:
                job_id = new_id()
                await fabric.create(job_id, {"journal": str(tmp_path / "journal")})
                await fabric.until(job_id, "Completed")
            assert (ON_BEHALF_OF, tenant) in authority.users.endpoint.granted


async def test_executor_gets_tokens_of_its_own_attempt_only(
    authority: Authority, tmp_path: Path
) -> None:
    """Another job, another executor, an earlier attempt, a cancelled job: refused and counted."""
    journal, until = tmp_path / "journal", tmp_path / "until"
    async with (
        stack(authority) as (one, _),
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
        status_api(one) as status,
    ):
        held, queued = new_id(), new_id()
        await fabric.create(held, {"journal": str(journal), "until": str(until)})
        await until_tokens(journal, 1)
        waiting = Fabric(one, "nobody", headers=authority.users.headers())
        async with waiting:
            await waiting.create(queued)
        holder = (await status.GetJob(pb.GetJobRequest(job_id=held))).job

        async def ask(**other: Any) -> pb.GetAccessTokenResponse:
            own = {"job_id": held, "attempt": 1, "executor_id": holder.executor_id}
            request = pb.GetAccessTokenRequest(**own | {"scope": SCOPE} | other)
            response: pb.GetAccessTokenResponse = await status.GetAccessToken(request)
            return response

        own = await ask()
        refusals = [
            await raised(ask(job_id=queued)),
            await raised(ask(job_id=new_id())),
            await raised(ask(executor_id="another")),
            await raised(ask(attempt=2)),
        ]
        await fabric.cancel(held)
        await fabric.until(held, "Cancelled")
        refusals.append(await raised(ask()))
        counted = await metric(one, "fabric_jobs_access_tokens_total")

    assert own.access_token in authority.users.endpoint.given
    assert refusals == [("PERMISSION_DENIED", "NOT_HOLDER")] * 5
    assert counted['kind="user",outcome="not_holder"'] == 5


async def test_superseded_attempt_gets_no_token(authority: Authority, tmp_path: Path) -> None:
    """An executor that lost its lease does not act for the user beside its successor."""
    journal = tmp_path / "journal"
    environment = authority.environment | {
        "FABRIC_JOBS_LEASE_S": "2",
        "FABRIC_JOBS_HEARTBEAT_S": "0.5",
    }
    async with (
        facade(**environment) as one,
        Fabric(one, "user", headers=authority.users.headers()) as fabric,
        status_api(one) as status,
    ):
        async with executor(HANDLERS, one, **environment) as first:
            job_id = new_id()
            await fabric.create(job_id, {"journal": str(journal), "until": "/never"})
            await until_tokens(journal, 1)
            before = (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job
            await first.kill()
        async with executor(HANDLERS, one, **environment | new_pool()), asyncio.timeout(40):
            while (await status.GetJob(pb.GetJobRequest(job_id=job_id))).job.attempt < 2:
                await asyncio.sleep(0.1)
        request = pb.GetAccessTokenRequest(
            job_id=job_id, attempt=1, executor_id=before.executor_id, scope=SCOPE
        )
        refused = await raised(status.GetAccessToken(request))

    assert refused == ("PERMISSION_DENIED", "NOT_HOLDER")
