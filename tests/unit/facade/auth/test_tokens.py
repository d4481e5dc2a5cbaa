"""The authenticator against the local issuer: who is Fabric, and who is not."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import jwt
import pytest
import pytest_asyncio

import fabric_jobs.facade.auth.authenticator
import fabric_jobs.facade.auth.keys
from fabric_jobs.cli.dev.issuer import AUDIENCE, CLIENT_ID, PUBLISHER_TENANT, SigningKey
from fabric_jobs.facade.auth import Authenticator, AuthError, AuthorityError, Caller, Trust
from fabric_jobs.facade.auth.keys import UNKNOWN_S
from tests.support.tokens import (
    GENUINE,
    MATRIX,
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
    """The authority; RSA keys are dear, so it is one for the file."""
    with Authority() as running:
        yield running


@pytest.fixture(autouse=True)
def unchanged(authority: Authority) -> Iterator[None]:
    """Whatever a test does to the authority ends with it."""
    keys = list(authority.keys)
    authority.asked.clear()
    yield
    authority.keys[:] = keys
    authority.down = False


def trusting(authority: Authority) -> Authenticator:
    """An authenticator that holds no keys yet."""
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
        )
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(authority: Authority) -> Authenticator:
    """One that holds the keys, for tests to whom its memory is nothing."""
    authenticator = trusting(authority)
    await authenticator.keys.start()
    return authenticator


@pytest_asyncio.fixture(loop_scope="module")
async def authenticator(authority: Authority, unchanged: None) -> Authenticator:
    """One of the test's own, that holds the keys."""
    authenticator = trusting(authority)
    await authenticator.keys.start()
    authority.asked.clear()
    return authenticator


class Clock:
    """A time that the test sets, for what is remembered and for PyJWT."""

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
    """The clock of whatever looks at a token."""
    clock = Clock()
    monkeypatch.setattr(fabric_jobs.facade.auth.authenticator, "time", clock)
    monkeypatch.setattr("jwt.api_jwt.datetime", clock)
    return clock


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were looked at."""
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
    """Lets time pass for the rate at which unknown keys are looked for."""
    now = [1000.0]
    monkeypatch.setattr(
        fabric_jobs.facade.auth.keys, "time", SimpleNamespace(monotonic=lambda: now[0])
    )

    def pass_(time_s: float) -> None:
        now[0] += time_s

    return pass_


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what another task brings about."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("row", MATRIX.values(), ids=MATRIX.keys())
async def test_what_is_not_fabric_is_refused(
    authority: Authority, shared: Authenticator, row: Row
) -> None:
    """For the reason that the row has, in a text that can be sent; and the second time as well."""
    sent = row.sent(authority)

    for _ in range(2):
        with pytest.raises(AuthError, match=row.because) as raised:
            await shared.authenticate(*sent)
        assert str(raised.value).encode()


@pytest.mark.parametrize("row", GENUINE.values(), ids=GENUINE.keys())
async def test_what_is_fabric_is_let_in(
    authority: Authority, shared: Authenticator, row: Row
) -> None:
    """For the tenant of the header, with the user behind it."""
    assert await shared.authenticate(*row.sent(authority)) == USER


async def test_an_empty_subject_token_is_nobody_s(
    authority: Authority, shared: Authenticator
) -> None:
    """Fabric itself calls; whether that is enough is the door's to say."""
    assert await shared.authenticate(*NO_SUBJECT.sent(authority)) == NO_USER


async def test_one_tenant_s_tokens_are_not_remembered_for_another(
    authority: Authority, shared: Authenticator
) -> None:
    """What was verified holds for its tenant header alone."""
    authorization, tenants = Row().sent(authority)
    assert await shared.authenticate(authorization, tenants) == USER

    with pytest.raises(AuthError, match="tenant header"):
        await shared.authenticate(authorization, [str(UUID(int=5))])


async def test_a_new_key_is_found_by_asking_once(
    authority: Authority, authenticator: Authenticator
) -> None:
    """A rollover while running costs one request for the keys, and no refusal."""
    before = Row().sent(authority)
    authority.rotate()
    after = Row().sent(authority)

    assert await authenticator.authenticate(*after) == USER
    assert await authenticator.authenticate(*before) == USER
    assert await authenticator.authenticate(*Row().sent(authority)) == USER
    assert authority.key_fetches == 1


async def test_known_keys_ask_nobody(authority: Authority, authenticator: Authenticator) -> None:
    """There is no network on the hot path."""
    for row in GENUINE.values():
        await authenticator.authenticate(*row.sent(authority))

    assert authority.asked == []


async def test_an_unknown_key_is_looked_for_at_a_bounded_rate(
    authority: Authority, authenticator: Authenticator, later: Callable[[float], None]
) -> None:
    """Forged key ids are no load for the authority: one question in `UNKNOWN_S`."""
    forged = Row(sign_app=by_unknown_key)

    async def refused() -> int:
        with pytest.raises(AuthError, match="none of the authority's"):
            await authenticator.authenticate(*forged.sent(authority))
        return authority.key_fetches

    assert [await refused(), await refused()] == [1, 1]
    later(UNKNOWN_S - 0.1)
    assert await refused() == 1
    later(0.2)
    assert [await refused(), await refused()] == [2, 2]


async def test_fifty_callers_of_an_unknown_key_ask_once(
    authority: Authority, authenticator: Authenticator
) -> None:
    """They wait for one answer, and each has it."""
    authority.rotate()
    rows = [Row().sent(authority) for _ in range(50)]

    assert await asyncio.gather(*(authenticator.authenticate(*row) for row in rows)) == [USER] * 50
    assert authority.key_fetches == 1


async def test_a_caller_who_leaves_takes_nobody_s_answer_along(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The one who asked first may be gone: the others have the key all the same."""
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
async def test_what_can_name_no_key_asks_nobody(
    authority: Authority, authenticator: Authenticator, name: str
) -> None:
    """The question for a new key is not spent on it."""
    with pytest.raises(AuthError):
        await authenticator.authenticate(*MATRIX[f"app: {name}"].sent(authority))

    assert authority.asked == []


async def test_a_remembered_pair_costs_no_verification(
    authority: Authority, authenticator: Authenticator, verified: list[str]
) -> None:
    """Two signatures for the first request, none for the next hundred."""
    sent = Row().sent(authority)
    callers = [await authenticator.authenticate(*sent) for _ in range(101)]

    assert callers == [USER] * 101
    assert len(verified) == 2


async def test_what_was_refused_is_not_remembered(
    authority: Authority, authenticator: Authenticator, clock: Clock
) -> None:
    """What is not yet valid is let in as soon as it is."""
    sent = Row(subject={"nbf": seconds(90)}).sent(authority)
    with pytest.raises(AuthError, match="not yet valid"):
        await authenticator.authenticate(*sent)
    clock.ahead = 60

    assert await authenticator.authenticate(*sent) == USER


@pytest.mark.parametrize("first", ["app", "subject"])
async def test_a_pair_is_forgotten_at_the_earlier_expiry(
    authority: Authority,
    authenticator: Authenticator,
    clock: Clock,
    verified: list[str],
    first: str,
) -> None:
    """Whichever ends first; within the skew it is verified anew, behind that it is refused."""
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


async def test_an_app_token_alone_is_forgotten_at_its_expiry(
    authority: Authority, authenticator: Authenticator, clock: Clock
) -> None:
    """There is no other to wait for."""
    row = Row(app={"exp": seconds(300)}, authorization=NO_SUBJECT.authorization)
    sent = row.sent(authority)
    assert await authenticator.authenticate(*sent) == NO_USER
    clock.ahead = 362

    with pytest.raises(AuthError, match=r"app token.*expired"):
        await authenticator.authenticate(*sent)


async def test_pairs_beyond_what_is_remembered_push_out_the_oldest(
    authority: Authority,
    authenticator: Authenticator,
    verified: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded; what was used last stays."""
    monkeypatch.setattr(fabric_jobs.facade.auth.authenticator, "MAX_REMEMBERED", 2)
    one, two, three = (Row().sent(authority) for _ in range(3))
    for sent in (one, two, one, three):
        await authenticator.authenticate(*sent)

    async def cost(sent: Sent) -> int:
        verified.clear()
        await authenticator.authenticate(*sent)
        return len(verified)

    assert [await cost(one), await cost(three), await cost(two)] == [0, 0, 2]


async def test_a_change_of_the_keys_forgets_every_pair(
    authority: Authority, authenticator: Authenticator, verified: list[str]
) -> None:
    """An unchanged set forgets nothing; another one has all verified anew."""
    sent = Row().sent(authority)

    async def cost() -> int:
        await authenticator.keys.start()
        verified.clear()
        await authenticator.authenticate(*sent)
        return len(verified)

    assert [await cost(), await cost()] == [2, 0]
    authority.rotate()
    assert [await cost(), await cost()] == [2, 0]


async def test_a_withdrawn_key_takes_its_pairs_with_it(
    authority: Authority, authenticator: Authenticator
) -> None:
    """What it signed is refused from the next look at the keys on."""
    sent = Row().sent(authority)
    assert await authenticator.authenticate(*sent) == USER
    authority.keys[-1] = SigningKey()
    await authenticator.keys.start()

    with pytest.raises(AuthError, match="none of the authority's"):
        await authenticator.authenticate(*sent)


async def test_another_key_under_the_same_id_is_another_key(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The set has changed, though its ids have not."""
    sent = Row().sent(authority)
    assert await authenticator.authenticate(*sent) == USER
    key_id = authority.keys[-1].key_id
    authority.rotate()
    authority.keys[-1].key_id = key_id
    del authority.keys[-2]
    await authenticator.keys.start()

    with pytest.raises(AuthError, match="Signature"):
        await authenticator.authenticate(*sent)


async def test_a_key_that_is_withdrawn_meanwhile_is_not_remembered(
    authority: Authority, authenticator: Authenticator
) -> None:
    """The look for the one token's new key tells that the other token's key is gone."""
    old = authority.keys[-1]
    authority.rotate()
    row = Row(sign_app=lambda _, claims: signed_by(old, claims))
    sent = row.sent(authority)
    authority.keys.remove(old)
    await asyncio.gather(authenticator.authenticate(*sent), return_exceptions=True)

    with pytest.raises(AuthError, match="app token's key is none of the authority's"):
        await authenticator.authenticate(*sent)


async def test_the_keys_are_refreshed_while_running(
    authority: Authority, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind a time in which the authority was down."""
    monkeypatch.setattr(fabric_jobs.facade.auth.keys, "REFRESH_S", 0.01)
    refreshing = asyncio.create_task(authenticator.keys.run())
    try:
        authority.down = True
        await until(lambda: len(authority.asked) > 2)
        authority.rotate()
        authority.down = False
        authority.asked.clear()
        await until(lambda: authority.key_fetches > 1)
    finally:
        refreshing.cancel()
    authority.asked.clear()

    assert await authenticator.authenticate(*Row().sent(authority)) == USER
    assert authority.asked == []


async def test_known_keys_serve_while_the_authority_is_down(
    authority: Authority, authenticator: Authenticator, later: Callable[[float], None]
) -> None:
    """An unknown key may be a new one: each time it is the authority that fails, not the caller."""
    known = Row().sent(authority)
    authority.down = True
    unknown = Row(sign_app=by_unknown_key).sent(authority)

    for _ in range(3):
        with pytest.raises(AuthorityError, match=authority.authority):
            await authenticator.authenticate(*unknown)
        assert await authenticator.authenticate(*known) == USER
    assert len(authority.asked) == 1

    authority.down = False
    later(UNKNOWN_S + 1)
    with pytest.raises(AuthError, match="none of the authority's"):
        await authenticator.authenticate(*unknown)


async def test_fifty_callers_are_all_told_that_the_authority_is_down(
    authority: Authority, authenticator: Authenticator
) -> None:
    """Of the one question that was asked for them."""
    authority.down = True
    rows = [Row(sign_app=by_unknown_key).sent(authority) for _ in range(50)]
    answers = await asyncio.gather(
        *(authenticator.authenticate(*row) for row in rows), return_exceptions=True
    )

    assert {type(answer) for answer in answers} == {AuthorityError}
    assert len(authority.asked) == 1


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
async def test_an_answer_that_makes_no_sense_is_the_authority_s_fault(
    authority: Authority,
    authenticator: Authenticator,
    monkeypatch: pytest.MonkeyPatch,
    configuration: str,
    where: str,
) -> None:
    """Whatever answers in its place, the keys that are held serve on."""
    known = Row().sent(authority)
    body = configuration.replace("AUTHORITY", authority.authority)
    _answer(authority, monkeypatch, where, body)

    with pytest.raises(AuthorityError, match=authority.authority):
        await authenticator.authenticate(*Row(sign_app=by_unknown_key).sent(authority))
    assert await authenticator.authenticate(*known) == USER


@pytest.mark.parametrize(
    "keys", ['{"keys":null}', '{"keys":["x"]}', '{"keys":{}}', '{"keys":[]}', '{"keys":[{}]}']
)
async def test_a_set_without_a_key_is_the_authority_s_fault(
    authority: Authority, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    """An authority that signs has a key: what is held is kept."""
    known = Row().sent(authority)
    _answer(authority, monkeypatch, "keys", keys)

    with pytest.raises(AuthorityError, match=authority.authority):
        await authenticator.authenticate(*Row(sign_app=by_unknown_key).sent(authority))
    assert await authenticator.authenticate(*known) == USER


def _answer(authority: Authority, monkeypatch: pytest.MonkeyPatch, where: str, body: str) -> None:
    """Has the authority answer one of its two addresses with this."""
    answer = authority.answer

    def other(request: Any) -> None:
        if where not in request.path:
            answer(request)
            return
        request.send_response(200)
        request.end_headers()
        request.wfile.write(body.encode())

    monkeypatch.setattr(authority, "answer", other)


async def test_a_start_without_the_authority_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for a while, and then gives up with the address."""
    monkeypatch.setattr(fabric_jobs.facade.auth.keys, "START_S", 0.1)
    gone = Authority.__new__(Authority)
    gone.authority = "http://127.0.0.1:1"

    with pytest.raises(AuthorityError, match=r"from http://127\.0\.0\.1:1/common/"):
        await trusting(gone).keys.start()


async def test_an_address_that_is_none_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A typing error in the setting is no crash."""
    monkeypatch.setattr(fabric_jobs.facade.auth.keys, "START_S", 0.1)
    gone = Authority.__new__(Authority)
    gone.authority = "http://127.0.0.1:port"

    with pytest.raises(AuthorityError, match=r"from http://127\.0\.0\.1:port/common/"):
        await trusting(gone).keys.start()
