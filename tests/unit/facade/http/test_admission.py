"""Fabric's door: what is let in, and how much of it."""

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


def door(
    has_room: Callable[[str, int], bool] = lambda *_: True, **admitted: Any
) -> AdmissionControl:
    """A door that believes who calls."""
    return AdmissionControl(None, AdmissionRules(**admitted), has_room)


def instance(item_type: str = "A.Item", job_type: str = "quick") -> Instance:
    """A job's place."""
    guid = str(UUID(int=1))
    return instance_of(TENANT, guid, item_type, guid, job_type, guid)


def request(*tenants: str) -> Request[Any, Any, Any]:
    """A request with these values of the tenant header."""
    headers = [(b"x-ms-client-tenant-id", value.encode("latin-1")) for value in tenants]
    scope: Any = {"type": "http", "headers": headers}
    return Request(scope)


class Refusal(NamedTuple):
    """How a request was refused."""

    code: str
    status: int
    permanent: bool


def refusal(check: Callable[[], None]) -> Refusal | None:
    """The answer to what is refused; none if it is let in."""
    try:
        check()
    except HttpError as error:
        meaning = MEANINGS[error.code]
        return Refusal(error.code.value, meaning.status, meaning.permanent)
    return None


TOO_MANY = Refusal("TooManyRequests", 429, False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds pass."""
    now = [1000.0]
    monkeypatch.setattr(
        "fabric_jobs.facade.http.admission.time", SimpleNamespace(monotonic=lambda: now[0])
    )

    def pass_(time_s: float) -> None:
        now[0] += time_s

    return pass_


async def test_without_authentication_the_tenant_header_is_believed() -> None:
    """In any letter case, and as if a user stood behind it."""
    name = "c0000000-0000-4000-8000-00000000000a"

    assert await door().caller(request(name.upper())) == Caller(name, has_subject=True)


@pytest.mark.parametrize("tenants", [(), ("contoso",), ("",), (TENANT, TENANT), ("é",)])
async def test_without_authentication_a_tenant_must_be_named_all_the_same(
    tenants: tuple[str, ...],
) -> None:
    """Exactly once, by a GUID."""
    with pytest.raises(AuthError, match="x-ms-client-tenant-id"):
        await door().caller(request(*tenants))


def test_an_empty_list_serves_every_type() -> None:
    """Nothing is refused that was not said to be."""
    assert refusal(lambda: door().check_served(instance("Any.Item", "any"))) is None


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
def test_only_listed_types_are_served(item_type: str, job_type: str, code: str | None) -> None:
    """By their whole name, letter by letter; the item's type is told first."""
    listed = door(
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
def test_a_user_stands_behind_the_invoke_types_that_require_one(
    invoke_type: InvokeType, required: set[InvokeType]
) -> None:
    """Who brings a subject token is let in always, who brings none where none is required."""
    policy = door(subject_required=frozenset(required))
    expected = Refusal("AuthError", 401, True) if invoke_type in required else None

    assert refusal(lambda: policy.check_subject(USER, invoke_type)) is None
    assert refusal(lambda: policy.check_subject(NO_USER, invoke_type)) == expected


def test_without_limits_nobody_is_counted() -> None:
    """Neither jobs nor creates."""

    def counted(tenant: str, most: int) -> bool:
        raise AssertionError

    unlimited = door(counted)

    assert [refusal(lambda: unlimited.check_limits(TENANT)) for _ in range(100)] == [None] * 100


def _let_in(door: AdmissionControl, times: int, tenant: str = TENANT) -> list[bool]:
    """Whether each of these creates is."""
    answers = [refusal(lambda: door.check_limits(tenant)) for _ in range(times)]
    assert set(answers) <= {None, TOO_MANY}
    return [answer is None for answer in answers]


def test_a_tenant_sends_a_second_s_worth_at_once_and_then_its_rate(
    clock: Callable[[float], None],
) -> None:
    """The bucket is full at first, and fills up as time passes."""
    limited = door(tenant_creates_per_s=4)

    assert _let_in(limited, 6) == [True] * 4 + [False] * 2
    clock(0.25)
    assert _let_in(limited, 2) == [True, False]
    clock(0.5)
    assert _let_in(limited, 3) == [True, True, False]


def test_the_bucket_holds_no_more_than_a_second_s_worth(clock: Callable[[float], None]) -> None:
    """A tenant that was quiet for an hour does not flood."""
    limited = door(tenant_creates_per_s=3)
    assert _let_in(limited, 1) == [True]
    clock(3600)

    assert _let_in(limited, 5) == [True] * 3 + [False] * 2


def test_a_rate_below_one_lets_one_in(clock: Callable[[float], None]) -> None:
    """One at once, and the next when its time has come."""
    limited = door(tenant_creates_per_s=0.5)

    assert _let_in(limited, 2) == [True, False]
    clock(1.75)
    assert _let_in(limited, 1) == [False]
    clock(0.25)
    assert _let_in(limited, 2) == [True, False]


def test_what_was_refused_costs_nothing(clock: Callable[[float], None]) -> None:
    """A tenant that hammers is let in as soon as one that waits."""
    limited = door(tenant_creates_per_s=1)
    assert _let_in(limited, 1) == [True]
    for _ in range(8):
        assert _let_in(limited, 1) == [False]
        clock(0.125)

    assert _let_in(limited, 2) == [True, False]


def test_each_tenant_has_its_own_bucket(clock: Callable[[float], None]) -> None:
    """One that sends too much takes nothing from another."""
    limited = door(tenant_creates_per_s=2)
    assert _let_in(limited, 3) == [True, True, False]

    assert _let_in(limited, 3, OTHER_TENANT) == [True, True, False]


def test_a_tenant_has_so_many_unfinished_jobs() -> None:
    """The limit itself is too many for one more; another tenant's jobs do not count."""
    jobs = {TENANT: 2, OTHER_TENANT: 0}
    limited = door(lambda tenant, most: jobs[tenant] < most, tenant_unfinished_jobs=3)

    assert _let_in(limited, 1) == [True]
    jobs[TENANT] = 3
    assert _let_in(limited, 1) == [False]
    assert _let_in(limited, 1, OTHER_TENANT) == [True]
    jobs[TENANT] = 2
    assert _let_in(limited, 1) == [True]


def test_one_unfinished_job_too_many_takes_nothing_from_the_bucket(
    clock: Callable[[float], None],
) -> None:
    """Both limits hold, each for itself."""
    unfinished = [1]
    limited = door(
        lambda tenant, most: unfinished[0] < most, tenant_unfinished_jobs=1, tenant_creates_per_s=1
    )
    assert _let_in(limited, 3) == [False] * 3
    unfinished[0] = 0

    assert _let_in(limited, 2) == [True, False]
