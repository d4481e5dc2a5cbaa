"""What a stranger, a tenant or a peer sends to a facade costs others neither time nor memory.

Each attack of `tests/support` is sent to a running facade while an innocent client polls.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
import pytest_asyncio

from tests.support.attacked import JOB, Attack, Target
from tests.support.grpc_attacks import GRPC_ATTACKS
from tests.support.http_attacks import HTTP_ATTACKS
from tests.support.innocent import WARM_UP_POLLS, watching
from tests.support.programs import Fabric, Program, facade
from tests.support.tokens import Authority, Row, by_unknown_key

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="/proc is needed: memory is read there"),
]

#: Seconds that no poll may take, and MiB by which the facade's memory may grow.
MOST_S = 0.25
MOST_MIB = 64
#: How often an attack is tried: another program's load can delay a poll too, but not each time.
TRIES = 3
#: Seconds for which the same client polls the same facade without an attack, for comparison.
CONTROL_S = 3
#: Seconds in which a request must be answered although the authority's keys never end.
ANSWER_S = 10


class Keys(StrEnum):
    """What an authority does in place of publishing its keys."""

    FLOOD = "flood"
    DRIP = "drip"


class HostileAuthority(Authority):
    """An authority whose document of keys does not end, once `way` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.way: Keys | None = None
        #: The bytes of such documents that were sent.
        self.sent = 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answers as the authority does, or sends up to 300 MB, or a byte each 0.1 s."""
        if self.way is None or request.path != "/common/discovery/keys":
            super().answer(request)
            return
        request.send_response(200)
        request.end_headers()
        part, pause_s = (b"[" * 100_000, 0.0) if self.way is Keys.FLOOD else (b"[", 0.1)
        with suppress(OSError):
            for _ in range(3000):
                request.wfile.write(part)
                self.sent += len(part)
                time.sleep(pause_s)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replica(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Program]:
    """A facade with the monitor, and a job that is polled. Its jobs are in a file."""
    state_dir = str(tmp_path_factory.mktemp("state"))
    settings = {
        "FABRIC_JOBS_MONITOR": "true",
        "FABRIC_JOBS_STATE_DIR": state_dir,
        "FABRIC_JOBS_TENANT_CREATES_PER_S": "10000",
    }
    async with facade(**settings | environment) as running:
        async with Fabric(running) as fabric:
            assert (await fabric.create(str(uuid.UUID(int=3)))).status_code == 202
        yield running


@pytest.mark.parametrize(
    "attack", [*GRPC_ATTACKS, *HTTP_ATTACKS], ids=lambda attack: attack.__name__
)
async def test_innocent_client_is_answered_while_a_facade_is_attacked(
    replica: Program, attack: Attack
) -> None:
    """Every poll succeeds, memory grows by less than `MOST_MIB`, and no poll takes `MOST_S`.

    On a busy machine, polls are slow without any attack. So if a poll took `MOST_S`, the slowest
    poll of a control is added to it: the control is the same client a moment later without the
    attack. An attack that holds up the event loop for seconds fails in each case, because the
    control comes after it.
    """
    host, _, port = replica.ready["http"].split("/")[2].rpartition(":")
    at = Target(host, int(port), replica.ready["grpc"])
    await check_polls(replica, JOB, lambda: attack(at), attack.__name__)


@pytest.mark.parametrize("way", Keys)
async def test_innocent_client_is_answered_while_the_authority_s_keys_never_end(
    environment: dict[str, str], way: Keys
) -> None:
    """Requests whose key is unknown make the facade fetch the keys. Each is answered in time."""
    with HostileAuthority() as authority:
        settings = {"FABRIC_JOBS_EVENTS_TOPIC": f"test.{uuid.uuid4()}"} | authority.settings
        async with facade(**environment | settings) as running:
            authority.way = way

            async def attack() -> None:
                authorization, tenants = Row(sign_app=by_unknown_key).sent(authority)
                headers = {"Authorization": authorization[0], "x-ms-client-tenant-id": tenants[0]}
                async with httpx.AsyncClient(timeout=ANSWER_S) as client:
                    url = running.ready["http"].removesuffix("/workload") + JOB
                    answers = await asyncio.gather(
                        *(client.get(url, headers=headers) for _ in range(20))
                    )
                assert {answer.status_code for answer in answers} <= {401, 503}

            await check_polls(running, "/livez", attack, f"keys that {way}")
    assert authority.sent


async def check_polls(
    replica: Program, path: str, attack: Callable[[], Awaitable[None]], name: str
) -> None:
    """Attacks while an innocent client polls the path, and checks what that client saw."""
    for _ in range(TRIES):
        async with watching(replica, path) as seen:
            await attack()
        print(
            f"\n{name}: slowest poll {seen.slowest_s * 1000:.0f} ms of {seen.polls}, "
            f"{seen.stalls} over 100 ms, {seen.failures} failed; "
            f"memory {seen.peak_mib:+.0f} MiB at its peak, {seen.kept_mib:+.0f} MiB after"
        )
        assert seen.polls > WARM_UP_POLLS
        assert seen.failures == 0
        assert seen.peak_mib < MOST_MIB
        if seen.slowest_s < MOST_S:
            return
        async with watching(replica, path) as control:
            await asyncio.sleep(CONTROL_S)
        print(f"slowest poll without it {control.slowest_s * 1000:.0f} ms")
        if seen.slowest_s < MOST_S + control.slowest_s:
            return
    raise AssertionError(f"a poll took {seen.slowest_s:.2f} s in each of {TRIES} tries")
