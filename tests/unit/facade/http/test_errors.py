"""The answers to errors: status, headers and the body of Fabric's contract."""

from typing import Any

import msgspec
import pytest
from litestar import Request
from opentelemetry.metrics import CallbackOptions

from fabric_jobs.facade import metrics
from fabric_jobs.facade.auth import AuthorityError
from fabric_jobs.facade.http.errors import to_response
from fabric_jobs.facade.jobs.errors import UnavailableError, UnavailableReason, map_log_errors
from fabric_jobs.facade.log import LogUnavailableError
from fabric_jobs.facade.replica import StateDamagedError
from fabric_jobs.runtime.telemetry.logs import bind_ids
from fabric_jobs.runtime.telemetry.metrics import MetricValues


def answer(error: Exception) -> tuple[int, dict[str, str], Any]:
    """Status, headers and decoded body of the answer to an error."""
    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": []}
    response = to_response(Request(scope), error)
    assert response.status_code
    return response.status_code, response.headers, msgspec.json.decode(response.content)


def reason_detail(reason: str) -> dict[str, Any]:
    """The entry of `moreDetails` with this reason."""
    return {
        "errorCode": "UnavailableReason",
        "message": "Why this request can't be answered now.",
        "additionalParameters": [{"name": "reason", "value": reason}],
    }


@pytest.mark.parametrize("reason", UnavailableReason)
def test_to_response_unavailable_is_503_with_its_reason(reason: UnavailableReason) -> None:
    """The error code is the same for every reason, and so is the advice to come again."""
    status, headers, body = answer(UnavailableError(reason, "The facade is busy."))

    assert (status, headers["Retry-After"]) == (503, "5")
    assert body == {
        "errorCode": "Unavailable",
        "message": "The facade is busy.",
        "source": "System",
        "isPermanent": False,
        "moreDetails": [reason_detail(reason.value)],
    }


def test_to_response_authority_away_is_503_with_its_reason_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No command was executed, so it is counted here."""
    values = MetricValues(("reason",))
    monkeypatch.setattr(metrics, "UNAVAILABLE", values)
    status, headers, body = answer(AuthorityError("The authority is away."))
    (counted,) = values.observe(CallbackOptions())

    assert (status, headers["Retry-After"]) == (503, "5")
    assert body["errorCode"] == "Unavailable"
    assert body["moreDetails"] == [reason_detail("AUTHORITY_UNREACHABLE")]
    assert (counted.attributes, counted.value) == ({"reason": "AUTHORITY_UNREACHABLE"}, 1)


def test_to_response_unavailable_keeps_the_request_s_ids_beside_the_reason() -> None:
    """Support asks for the ids, a program for the reason."""
    error = UnavailableError(UnavailableReason.OVERLOADED, "The facade is busy.")
    with bind_ids(ActivityId="one", RequestId="two"):
        _, _, body = answer(error)
    reason, ids = body["moreDetails"]

    assert reason == reason_detail("OVERLOADED")
    assert ids["errorCode"] == "RequestIds"
    assert ids["additionalParameters"] == [
        {"name": "ActivityId", "value": "one"},
        {"name": "RequestId", "value": "two"},
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LogUnavailableError("The log is away."), "LOG_UNREACHABLE"),
        (StateDamagedError("The file is damaged."), "STATE_UNUSABLE"),
    ],
)
def test_to_response_error_of_the_log_or_the_state_file_is_503_and_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """The error may have passed through `map_log_errors` before."""
    values = MetricValues(("reason",))
    monkeypatch.setattr(metrics, "UNAVAILABLE", values)
    with pytest.raises(UnavailableError) as raised, map_log_errors(), map_log_errors():
        raise error
    status, _, body = answer(raised.value)
    (counted,) = values.observe(CallbackOptions())

    assert (status, body["moreDetails"]) == (503, [reason_detail(reason)])
    assert (counted.attributes, counted.value) == ({"reason": reason}, 1)
    assert answer(error)[0] == 503
