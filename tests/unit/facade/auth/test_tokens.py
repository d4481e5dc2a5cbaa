"""The authenticator against the local issuer: genuine and forged headers, keys and memory."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import jwt
import pytest
import pytest_asyncio

import fabric_jobs.facade.auth.authenticator
from fabric_jobs.cli.dev.issuer import AUDIENCE, CLIENT_ID, PUBLISHER_TENANT, SigningKey
from fabric_jobs.facade.auth import Authenticator, AuthError, AuthorityError, Caller, Trust
from fabric_jobs.facade.auth.keys import MAX_DOCUMENT_BYTES, UNKNOWN_S
from tests.support.tokens import (
    FORGED,
    GENUINE,
    OTHER_FABRIC_APP_ID,
    TENANT,
    Authority,
    Row,
    Sent,
    as_fabric,
    by_unknown_key,
    seconds,
    signed_by,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

USER = Caller(TENANT, has_subject=True)
NO_USER = Caller(TENANT, has_subject=False)
NO_SUBJECT = Row(authorization=lambda app, _: as_fabric(app, ""))


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """The authority, one for the whole file, because RSA keys take long to make."""
    with Authority() as running:
        yield running


@pytest.fixture(autouse=True)
def _restore_authority(authority: Authority) -> Iterator[None]:
    """Undoes what the test does to the authority."""
    keys = list(authority.keys)
    authority.requests.clear()
    yield
    authority.keys[:] = keys
    authority.down = False


def make_authenticator(authority: Authority, refresh_s: float = 300) -> Authenticator:
    """An authenticator that has fetched no keys yet."""
    return Authenticator(
        Trust(
            authority=authority.authority,
            publisher_tenant=UUID(PUBLISHER_TENANT),
            audience=AUDIENCE,
            client_id=CLIENT_ID,
            fabric_app_ids=frozenset(
                {UUID("00000009-0000-0000-c000-000000000000"), UUID(OTHER_FABRIC_APP_ID)}
            ),
            skew_s=60,
        ),
        refresh_s,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(authority: Authority) -> Authenticator:
    """One authenticator with keys, for tests that do not depend on what it remembers."""
    authenticator = make_authenticator(authority)
    await authenticator.keys.start()
    return authenticator


@pytest_asyncio.fixture(loop_scope="module")
async def authenticator(authority: Authority, _restore_authority: None) -> Authenticator:
    """An authenticator of the test's own, with keys."""
    authenticator = make_authenticator(authority)
    await authenticator.keys.start()
    authority.requests.clear()
    return authenticator


class Clock:
    """A clock that the test sets, for the remembered pairs and for PyJWT."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        """As `time.time`."""
        return datetime.now(UTC).timestamp() + self.ahead

    def now(self, tz: tzinfo) -> datetime:
        """As `datetime.now`."""
        return datetime.fromtimestamp(self.time(), tz)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the authenticator and of PyJWT."""
    clock = Clock()
    monkeypatch.setattr(fabric_jobs.facade.auth.authenticator, "time", clock)
    monkeypatch.setattr("jwt.api_jwt.datetime", clock)
    return clock


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were verified."""
    seen: list[str] = []
    decode = jwt.decode

    def counted(token: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        seen.append(token)
        claims: dict[str, Any] = decode(token, *arguments, **named)
        return claims

    monkeypatch.setattr(jwt, "decode", counted)
    return seen


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock on that limits the fetches for unknown keys."""
    now = [1000.0]
    monkeypatch.setattr(
        fabric_jobs.facade.auth.keys, "time", SimpleNamespace(monotonic=lambda: now[0])
    )

    def pass_(time_s: float) -> None:
        now[0] += time_s

    return pass_


async def until(condition: Callable[[], bool]) -> None:
    """Waits until another task makes the condition true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("row", FORGED.values(), ids=FORGED.keys())
async def test_authenticate_forged_headers_are_refused_with_their_reason(
    authority: Authority, shared: Authenticator, row: Row
) -> None:
    """They are refused the second time as well, and the message can be encoded as UTF-8."""
    sent = row.sent(authority)

    for _ in range(2):
        with pytest.raises(AuthError, match=row.because) as raised:
            await shared.authenticate(*sent)
        assert str(raised.value).encode()


@pytest.mark.parametrize("row", GENUINE.values(), ids=GENUINE.keys())
async def test_authenticate_genuine_headers_are_accepted(
    authority: Authority, shared: Authenticator, row: Row
) -> None:
    """The caller has the tenant of the header, and a subject."""
    assert await shared.authenticate(*row.sent(authority)) == USER


async def test_authenticate_empty_subject_token_has_no_subject(
    authority: Authority, shared: Authenticator
) -> None:
    """Fabric itself calls; admission control decides whether that is enough."""
    assert await shared.authenticate(*NO_SUBJECT.sent(authority)) == NO_USER


async def test_authenticate_absent_subject_token_has_no_subject(
    authority: Authority, shared: Authenticator
) -> None:
    """An absent subject token is an empty one."""
    absent = Row(authorization=lambda app, _: [f'SubjectAndAppToken1.0 appToken="{app}"'])
    assert await shared.authenticate(*absent.sent(authority)) == NO_USER


async def test_authenticate_verified_pair_with_another_tenant_header_is_refused(
    authority: Authority, shared: Authenticator
) -> None:
    """A pair is remembered together with its tenant header."""
    authorization, tenants = Row().sent(authority)
    assert await shared.authenticate(authorization, tenants) == USER

    with pytest.raises(AuthError, match="tenant header"):
        await shared.authenticate(authorization, [str(UUID(int=5))])


async def test_authenticate_new_key_costs_one_fetch(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The authority changed its key while the facade runs; no request is refused."""
    before = Row().sent(authority)
    authority.rotate()
    after = Row().sent(authority)

    assert await authenticator.authenticate(*after) == USER
    assert await authenticator.authenticate(*before) == USER
    assert await authenticator.authenticate(*Row().sent(authority)) == USER
    assert authority.key_fetches == 1


async def test_authenticate_known_keys_cost_no_fetch(
    authority: Authority, authenticator: Authenticator
) -> None:
    """A normal request needs no network."""
    for row in GENUINE.values():
        await authenticator.authenticate(*row.sent(authority))

    assert authority.requests == []


async def test_authenticate_unknown_keys_cost_a_bounded_rate_of_fetches(
    authority: Authority, authenticator: Authenticator, later: Callable[[float], None]
) -> None:
    """Forged key ids cause one fetch in `UNKNOWN_S`, so they cannot load the authority."""
    forged = Row(sign_app=by_unknown_key)

    async def refused() -> int:
        with pytest.raises(AuthError, match="not one of the authority's"):
            await authenticator.authenticate(*forged.sent(authority))
        return authority.key_fetches

    assert [await refused(), await refused()] == [1, 1]
    later(UNKNOWN_S - 0.1)
    assert await refused() == 1
    later(0.2)
    assert [await refused(), await refused()] == [2, 2]


async def test_authenticate_fifty_requests_with_a_new_key_cost_one_fetch(
    authority: Authority, authenticator: Authenticator
) -> None:
    """All wait for the same fetch."""
    authority.rotate()
    rows = [Row().sent(authority) for _ in range(50)]

    assert await asyncio.gather(*(authenticator.authenticate(*row) for row in rows)) == [USER] * 50
    assert authority.key_fetches == 1


async def test_authenticate_request_cancelled_during_a_fetch_leaves_the_fetch_to_others(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The cancelled request is the one that began the fetch."""
    authority.rotate()
    first = asyncio.create_task(authenticator.authenticate(*Row().sent(authority)))
    second = asyncio.create_task(authenticator.authenticate(*Row().sent(authority)))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == USER
    assert first.cancelled()
    assert authority.key_fetches == 1


@pytest.mark.parametrize(
    "name",
    ["no key id", "empty key id", "key id is a number", "unsigned", "HS256 by the public key"],
)
async def test_authenticate_token_without_a_usable_key_id_costs_no_fetch(
    authority: Authority, authenticator: Authenticator, name: str
) -> None:
    """The one fetch in `UNKNOWN_S` is kept for tokens that may be genuine."""
    with pytest.raises(AuthError):
        await authenticator.authenticate(*FORGED[f"app: {name}"].sent(authority))

    assert authority.requests == []


async def test_authenticate_remembered_pair_costs_no_verification(
    authority: Authority, authenticator: Authenticator, verified: list[str]
) -> None:
    """The first request verifies two signatures, the next hundred none."""
    sent = Row().sent(authority)
    callers = [await authenticator.authenticate(*sent) for _ in range(101)]

    assert callers == [USER] * 101
    assert len(verified) == 2


async def test_authenticate_refused_pair_is_not_remembered(
    authority: Authority, authenticator: Authenticator, clock: Clock
) -> None:
    """A token that is not yet valid is accepted as soon as it is."""
    sent = Row(subject={"nbf": seconds(90)}).sent(authority)
    with pytest.raises(AuthError, match="not yet valid"):
        await authenticator.authenticate(*sent)
    clock.ahead = 60

    assert await authenticator.authenticate(*sent) == USER


@pytest.mark.parametrize("first", ["app", "subject"])
async def test_authenticate_pair_is_forgotten_at_the_earlier_expiry(
    authority: Authority,
    authenticator: Authenticator,
    clock: Clock,
    verified: list[str],
    first: str,
) -> None:
    """Within the clock skew after that it is verified again; later it is refused."""
    row = Row(app={"exp": seconds(300)}) if first == "app" else Row(subject={"exp": seconds(300)})
    sent = row.sent(authority)

    async def cost(ahead: float) -> int:
        clock.ahead = ahead
        verified.clear()
        assert await authenticator.authenticate(*sent) == USER
        return len(verified)

    assert [await cost(0), await cost(290), await cost(301)] == [2, 0, 2]
    clock.ahead = 362
    with pytest.raises(AuthError, match=f"{first} token.*expired"):
        await authenticator.authenticate(*sent)


async def test_authenticate_app_token_alone_is_forgotten_at_its_expiry(
    authority: Authority, authenticator: Authenticator, clock: Clock
) -> None:
    """There is no subject token."""
    row = Row(app={"exp": seconds(300)}, authorization=NO_SUBJECT.authorization)
    sent = row.sent(authority)
    assert await authenticator.authenticate(*sent) == NO_USER
    clock.ahead = 362

    with pytest.raises(AuthError, match=r"app token.*expired"):
        await authenticator.authenticate(*sent)


async def test_authenticate_memory_full_forgets_the_pair_used_longest_ago(
    authority: Authority,
    authenticator: Authenticator,
    verified: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The memory is bounded."""
    monkeypatch.setattr(fabric_jobs.facade.auth.authenticator, "MAX_REMEMBERED_PAIRS", 2)
    one, two, three = (Row().sent(authority) for _ in range(3))
    for sent in (one, two, one, three):
        await authenticator.authenticate(*sent)

    async def cost(sent: Sent) -> int:
        verified.clear()
        await authenticator.authenticate(*sent)
        return len(verified)

    assert [await cost(one), await cost(three), await cost(two)] == [0, 0, 2]


async def test_keys_changed_forget_every_pair(
    authority: Authority, authenticator: Authenticator, verified: list[str]
) -> None:
    """An unchanged set of keys forgets none."""
    sent = Row().sent(authority)

    async def cost() -> int:
        await authenticator.keys.start()
        verified.clear()
        await authenticator.authenticate(*sent)
        return len(verified)

    assert [await cost(), await cost()] == [2, 0]
    authority.rotate()
    assert [await cost(), await cost()] == [2, 0]


async def test_keys_withdrawn_key_refuses_its_pairs(
    authority: Authority, authenticator: Authenticator
) -> None:
    """A token of that key is refused from the next fetch on."""
    sent = Row().sent(authority)
    assert await authenticator.authenticate(*sent) == USER
    authority.keys[-1] = SigningKey()
    await authenticator.keys.start()

    with pytest.raises(AuthError, match="not one of the authority's"):
        await authenticator.authenticate(*sent)


async def test_keys_other_key_with_the_same_id_refuses_the_pairs_of_the_old_one(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The keys differ, though their ids do not."""
    sent = Row().sent(authority)
    assert await authenticator.authenticate(*sent) == USER
    key_id = authority.keys[-1].key_id
    authority.rotate()
    authority.keys[-1].key_id = key_id
    del authority.keys[-2]
    await authenticator.keys.start()

    with pytest.raises(AuthError, match="Signature"):
        await authenticator.authenticate(*sent)


async def test_authenticate_key_withdrawn_during_verification_is_not_remembered(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The fetch for one token's new key finds that the other token's key is gone."""
    old = authority.keys[-1]
    authority.rotate()
    row = Row(sign_app=lambda _, claims: signed_by(old, claims))
    sent = row.sent(authority)
    authority.keys.remove(old)
    await asyncio.gather(authenticator.authenticate(*sent), return_exceptions=True)

    with pytest.raises(AuthError, match="app token's key is not one of the authority's"):
        await authenticator.authenticate(*sent)


async def test_keys_running_are_refreshed(authority: Authority) -> None:
    """A refresh while the authority is down does not end the task."""
    authenticator = make_authenticator(authority, refresh_s=0.01)
    await authenticator.keys.fetch()
    refreshing = asyncio.create_task(authenticator.keys.run())
    try:
        authority.down = True
        await until(lambda: len(authority.requests) > 2)
        authority.rotate()
        authority.down = False
        authority.requests.clear()
        await until(lambda: authority.key_fetches > 1)
    finally:
        refreshing.cancel()
    authority.requests.clear()

    assert await authenticator.authenticate(*Row().sent(authority)) == USER
    assert authority.requests == []


async def test_authenticate_authority_down_accepts_known_keys_and_raises_for_unknown_ones(
    authority: Authority, authenticator: Authenticator, later: Callable[[float], None]
) -> None:
    """An unknown key may be a new one, so the error is the authority's and not the caller's."""
    known = Row().sent(authority)
    authority.down = True
    unknown = Row(sign_app=by_unknown_key).sent(authority)

    for _ in range(3):
        with pytest.raises(AuthorityError, match=authority.authority):
            await authenticator.authenticate(*unknown)
        assert await authenticator.authenticate(*known) == USER
    assert len(authority.requests) == 1

    authority.down = False
    later(UNKNOWN_S + 1)
    with pytest.raises(AuthError, match="not one of the authority's"):
        await authenticator.authenticate(*unknown)


async def test_authenticate_authority_down_raises_for_fifty_requests_after_one_fetch(
    authority: Authority, authenticator: Authenticator
) -> None:
    """All wait for the same fetch."""
    authority.down = True
    rows = [Row(sign_app=by_unknown_key).sent(authority) for _ in range(50)]
    answers = await asyncio.gather(
        *(authenticator.authenticate(*row) for row in rows), return_exceptions=True
    )

    assert {type(answer) for answer in answers} == {AuthorityError}
    assert len(authority.requests) == 1


@pytest.mark.parametrize(
    "configuration",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"jwks_uri":null}',
        '{"jwks_uri":"keys"}',
        '{"jwks_uri":"http://127.0.0.1:port/"}',
        '{"jwks_uri":"AUTHORITY/elsewhere"}',
    ],
)
@pytest.mark.parametrize("where", ["configuration", "keys"])
async def test_keys_malformed_answer_raises_and_keeps_the_old_keys(
    authority: Authority,
    authenticator: Authenticator,
    monkeypatch: pytest.MonkeyPatch,
    configuration: str,
    where: str,
) -> None:
    """Either of the two documents may be malformed."""
    known = Row().sent(authority)
    body = configuration.replace("AUTHORITY", authority.authority)
    _answer(authority, monkeypatch, where, body)

    with pytest.raises(AuthorityError, match=authority.authority):
        await authenticator.authenticate(*Row(sign_app=by_unknown_key).sent(authority))
    assert await authenticator.authenticate(*known) == USER


@pytest.mark.parametrize(
    "keys", ['{"keys":null}', '{"keys":["x"]}', '{"keys":{}}', '{"keys":[]}', '{"keys":[{}]}']
)
async def test_keys_answer_without_a_key_raises_and_keeps_the_old_keys(
    authority: Authority, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    """An authority that signs tokens has a key, so the answer must be wrong."""
    known = Row().sent(authority)
    _answer(authority, monkeypatch, "keys", keys)

    with pytest.raises(AuthorityError, match=authority.authority):
        await authenticator.authenticate(*Row(sign_app=by_unknown_key).sent(authority))
    assert await authenticator.authenticate(*known) == USER


async def test_authenticate_v1_issuer_follows_the_authority_s_configuration(
    authority: Authority, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A national cloud has an issuer of its own. Tokens of the public cloud are refused there."""
    known = Row(app_version="1.0").sent(authority)
    assert await authenticator.authenticate(*known) == USER
    configuration = {
        "issuer": "https://sts.chinacloudapi.cn/{tenantid}/",
        "jwks_uri": f"{authority.authority}/common/discovery/keys",
    }
    _answer(authority, monkeypatch, "configuration", json.dumps(configuration))
    await authenticator.keys.fetch()

    def national(right: str) -> str:
        return right.replace("sts.windows.net", "sts.chinacloudapi.cn")

    row = Row(app_version="1.0", app={"iss": national})
    assert await authenticator.authenticate(*row.sent(authority)) == USER
    with pytest.raises(AuthError, match=r"issuer must be https://sts\.chinacloudapi\.cn/"):
        await authenticator.authenticate(*known)


async def test_keys_endless_document_raises_within_its_bound(
    authority: Authority, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the document is not read."""
    _answer(authority, monkeypatch, "keys", " " * 4 * MAX_DOCUMENT_BYTES)

    with pytest.raises(AuthorityError, match="has more than 1048576 bytes"):
        await authenticator.keys.fetch()


async def test_keys_document_that_drips_raises_after_the_time_limit(
    authority: Authority, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for both documents together, however often a byte comes."""
    monkeypatch.setattr("fabric_jobs.facade.auth.keys.TIMEOUT_S", 0.3)
    over = Event()

    def drip(request: Any) -> None:
        request.send_response(200)
        request.end_headers()
        with suppress(OSError):
            while not over.wait(0.02):
                request.wfile.write(b" ")

    monkeypatch.setattr(authority, "answer", drip)
    try:
        with pytest.raises(AuthorityError, match="TimeoutError"):
            await authenticator.keys.fetch()
    finally:
        over.set()


def _answer(authority: Authority, monkeypatch: pytest.MonkeyPatch, where: str, body: str) -> None:
    """Makes the authority answer one of its two documents with this body."""
    answer = authority.answer

    def other(request: Any) -> None:
        if where not in request.path:
            answer(request)
            return
        request.send_response(200)
        request.end_headers()
        request.wfile.write(body.encode())

    monkeypatch.setattr(authority, "answer", other)


async def test_keys_start_without_the_authority_raises_with_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The start tries for `START_S` seconds."""
    monkeypatch.setattr(fabric_jobs.facade.auth.keys, "START_S", 0.1)
    gone = Authority.__new__(Authority)
    gone.authority = "http://127.0.0.1:1"

    with pytest.raises(AuthorityError, match=r"from http://127\.0\.0\.1:1/common/"):
        await make_authenticator(gone).keys.start()


async def test_keys_start_with_a_malformed_authority_url_raises_with_the_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong setting ends the start with an error, and not with a traceback."""
    monkeypatch.setattr(fabric_jobs.facade.auth.keys, "START_S", 0.1)
    gone = Authority.__new__(Authority)
    gone.authority = "http://127.0.0.1:port"

    with pytest.raises(AuthorityError, match=r"from http://127\.0\.0\.1:port/common/"):
        await make_authenticator(gone).keys.start()
