"""Admission control: callers, accepted types, and limits per tenant."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from litestar import Request

from fabric_jobs.contract.jobs import InvokeType
from fabric_jobs.facade.auth import AuthError, Caller
from fabric_jobs.facade.http import AdmissionControl, AdmissionRules
from fabric_jobs.facade.http.errors import MEANINGS, HttpError
from fabric_jobs.facade.http.instance import instance_of
from fabric_jobs.facade.jobs.instance import Instance

TENANT = str(UUID(int=10))
OTHER_TENANT = str(UUID(int=11))
USER = Caller(TENANT, has_subject=True)
NO_USER = Caller(TENANT, has_subject=False)


def admission(
    has_room: Callable[[str, int], bool] = lambda *_: True, **rules: Any
) -> AdmissionControl:
    """Admission control by these rules, without authentication."""
    return AdmissionControl(None, AdmissionRules(**rules), has_room)


def instance(item_type: str = "A.Item", job_type: str = "quick") -> Instance:
    """A job instance with these types."""
    guid = str(UUID(int=1))
    return instance_of(TENANT, guid, item_type, guid, job_type, guid)


def request(*tenants: str, host: str = "127.0.0.1:5000") -> Request[Any, Any, Any]:
    """A request with these values of the tenant header."""
    headers = [(b"x-ms-client-tenant-id", value.encode("latin-1")) for value in tenants]
    headers.append((b"host", host.encode()))
    scope: Any = {"type": "http", "headers": headers}
    return Request(scope)


class Refusal(NamedTuple):
    """The answer to a request that is refused."""

    code: str
    status: int
    permanent: bool


def refusal(check: Callable[[], None]) -> Refusal | None:
    """The answer of a check that refuses; None if the check passes."""
    try:
        check()
    except HttpError as error:
        meaning = MEANINGS[error.code]
        return Refusal(error.code.value, meaning.status, meaning.permanent)
    return None


TOO_MANY = Refusal("TooManyRequests", 429, False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock on by so many seconds."""
    now = [1000.0]
    monkeypatch.setattr(
        "fabric_jobs.facade.http.admission.time", SimpleNamespace(monotonic=lambda: now[0])
    )

    def pass_(time_s: float) -> None:
        now[0] += time_s

    return pass_


async def test_caller_without_authentication_is_the_tenant_of_the_header() -> None:
    """The GUID may be in any letter case, and the caller counts as having a user's token."""
    name = "c0000000-0000-4000-8000-00000000000a"

    assert await admission().caller(request(name.upper())) == Caller(name, has_subject=True)


@pytest.mark.parametrize("tenants", [(), ("contoso",), ("",), (TENANT, TENANT), ("é",)])
async def test_caller_without_authentication_malformed_tenant_header_is_refused(
    tenants: tuple[str, ...],
) -> None:
    """There must be exactly one header, with a GUID."""
    with pytest.raises(AuthError, match="x-ms-client-tenant-id"):
        await admission().caller(request(*tenants))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.2", "[::1]:5000"])
async def test_caller_without_authentication_under_a_name_of_this_machine_is_served(
    host: str,
) -> None:
    """The Host header may have a port."""
    assert (await admission().caller(request(TENANT, host=host))).tenant_id == TENANT


@pytest.mark.parametrize(
    "host", ["evil.example", "", "10.0.0.1:5000", "localhost.evil.example", "["]
)
async def test_caller_without_authentication_under_another_name_is_refused(host: str) -> None:
    """A page of the internet can give its own name to 127.0.0.1."""
    with pytest.raises(HttpError, match="answers only to localhost") as raised:
        await admission().caller(request(TENANT, host=host))
    assert raised.value.code == "AuthError"


def test_check_limits_more_tenants_than_buckets_cost_the_same(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket that was not used for longest goes; the others keep their counts."""
    monkeypatch.setattr("fabric_jobs.facade.http.admission.MAX_BUCKETS", 2)
    control = admission(tenant_creates_per_s=0.001)
    for tenant in ("a", "b", "c"):
        assert refusal(lambda tenant=tenant: control.check_limits(tenant)) is None  # type: ignore[misc]
    assert refusal(lambda: control.check_limits("b")) == TOO_MANY
    assert refusal(lambda: control.check_limits("c")) == TOO_MANY
    assert len(control._buckets) == 2


def test_check_served_empty_lists_accept_every_type() -> None:
    """An empty list is no limit."""
    assert refusal(lambda: admission().check_served(instance("Any.Item", "any"))) is None


@pytest.mark.parametrize(
    ("item_type", "job_type", "code"),
    [
        ("A.Item", "quick", None),
        ("B.Item", "slow", None),
        ("C.Item", "quick", "ItemTypeNotServed"),
        ("a.item", "quick", "ItemTypeNotServed"),
        ("A.Item.X", "quick", "ItemTypeNotServed"),
        ("A.Item", "other", "JobTypeNotServed"),
        ("A.Item", "Quick", "JobTypeNotServed"),
        ("C.Item", "other", "ItemTypeNotServed"),
    ],
)
def test_check_served_type_not_listed_is_refused(
    item_type: str, job_type: str, code: str | None
) -> None:
    """The whole name must be equal, also in letter case; the item type is checked first."""
    listed = admission(
        item_types=frozenset({"A.Item", "B.Item"}), job_types=frozenset({"quick", "slow"})
    )
    answer = refusal(lambda: listed.check_served(instance(item_type, job_type)))

    assert answer == (Refusal(code, 404, True) if code else None)


@pytest.mark.parametrize(
    "required",
    [frozenset(), {InvokeType.MANUAL}, {InvokeType.MANUAL, InvokeType.SCHEDULED}, set(InvokeType)],
    ids=["none", "Manual", "Manual and Scheduled", "all"],
)
@pytest.mark.parametrize("invoke_type", list(InvokeType))
def test_check_subject_invoke_type_that_requires_a_user_is_refused_without_one(
    invoke_type: InvokeType, required: set[InvokeType]
) -> None:
    """With a subject token, and for other invoke types, the create passes."""
    control = admission(subject_required=frozenset(required))
    expected = Refusal("AuthError", 401, True) if invoke_type in required else None

    assert refusal(lambda: control.check_subject(USER, invoke_type)) is None
    assert refusal(lambda: control.check_subject(NO_USER, invoke_type)) == expected


def test_check_limits_no_limits_counts_neither_jobs_nor_creates() -> None:
    """The number of unfinished jobs is not even looked up."""

    def fail(tenant: str, most: int) -> bool:
        raise AssertionError

    unlimited = admission(fail)

    assert [refusal(lambda: unlimited.check_limits(TENANT)) for _ in range(100)] == [None] * 100


def _create(control: AdmissionControl, times: int, tenant: str = TENANT) -> list[bool]:
    """Whether each of so many creates passes."""
    answers = [refusal(lambda: control.check_limits(tenant)) for _ in range(times)]
    assert set(answers) <= {None, TOO_MANY}
    return [answer is None for answer in answers]


def test_check_limits_rate_allows_the_creates_of_one_second_at_once_and_then_the_rate(
    clock: Callable[[float], None],
) -> None:
    """The token bucket is full at first, and fills up as time passes."""
    limited = admission(tenant_creates_per_s=4)

    assert _create(limited, 6) == [True] * 4 + [False] * 2
    clock(0.25)
    assert _create(limited, 2) == [True, False]
    clock(0.5)
    assert _create(limited, 3) == [True, True, False]


def test_check_limits_tenant_quiet_for_an_hour_has_the_creates_of_one_second(
    clock: Callable[[float], None],
) -> None:
    """The bucket holds no more."""
    limited = admission(tenant_creates_per_s=3)
    assert _create(limited, 1) == [True]
    clock(3600)

    assert _create(limited, 5) == [True] * 3 + [False] * 2


def test_check_limits_rate_below_one_allows_one_create_at_once(
    clock: Callable[[float], None],
) -> None:
    """The next one passes once the rate allows it."""
    limited = admission(tenant_creates_per_s=0.5)

    assert _create(limited, 2) == [True, False]
    clock(1.75)
    assert _create(limited, 1) == [False]
    clock(0.25)
    assert _create(limited, 2) == [True, False]


def test_check_limits_refused_creates_take_no_token(clock: Callable[[float], None]) -> None:
    """A tenant that keeps sending is accepted as soon as one that waits."""
    limited = admission(tenant_creates_per_s=1)
    assert _create(limited, 1) == [True]
    for _ in range(8):
        assert _create(limited, 1) == [False]
        clock(0.125)

    assert _create(limited, 2) == [True, False]


def test_check_limits_tenant_over_its_rate_leaves_others_theirs(
    clock: Callable[[float], None],
) -> None:
    """Each tenant has its own bucket."""
    limited = admission(tenant_creates_per_s=2)
    assert _create(limited, 3) == [True, True, False]

    assert _create(limited, 3, OTHER_TENANT) == [True, True, False]


def test_check_limits_tenant_at_its_unfinished_jobs_is_refused_until_one_ends() -> None:
    """Another tenant's jobs do not count."""
    jobs = {TENANT: 2, OTHER_TENANT: 0}
    limited = admission(lambda tenant, most: jobs[tenant] < most, tenant_unfinished_jobs=3)

    assert _create(limited, 1) == [True]
    jobs[TENANT] = 3
    assert _create(limited, 1) == [False]
    assert _create(limited, 1, OTHER_TENANT) == [True]
    jobs[TENANT] = 2
    assert _create(limited, 1) == [True]


def test_check_limits_create_refused_for_unfinished_jobs_takes_no_token(
    clock: Callable[[float], None],
) -> None:
    """Both limits apply, and neither uses up the other."""
    unfinished = [1]
    limited = admission(
        lambda tenant, most: unfinished[0] < most, tenant_unfinished_jobs=1, tenant_creates_per_s=1
    )
    assert _create(limited, 3) == [False] * 3
    unfinished[0] = 0

    assert _create(limited, 2) == [True, False]
