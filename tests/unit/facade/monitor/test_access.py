"""Tokens and sessions of the monitor."""

import time

import pytest

from fabric_jobs.facade.monitor import MonitorAccess, MonitorRole
from fabric_jobs.facade.monitor.access import (
    MAX_WRONG_TOKENS,
    SESSION_S,
    TooManyTriesError,
    Viewer,
)
from fabric_jobs.runtime.settings import Secret
from tests.support.monitor import OPERATOR, READER


def both_tokens(reader: str = READER) -> MonitorAccess:
    """Returns an access with a reader's and an operator's token."""
    return MonitorAccess(
        {MonitorRole.READER: Secret(reader), MonitorRole.OPERATOR: Secret(OPERATOR)}
    )


def test_wrong_tokens_after_a_minute_are_counted_from_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few wrong tokens a minute count as typing errors."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    access = MonitorAccess({MonitorRole.READER: Secret(READER)})
    for _ in range(MAX_WRONG_TOKENS):
        assert access.sign_in("guess") is None
    with pytest.raises(TooManyTriesError):
        access.sign_in("guess")
    now += 60

    assert access.sign_in("guess") is None


def test_session_is_valid_on_replicas_with_the_same_token() -> None:
    """A replica with another token refuses it."""
    session = both_tokens().sign_in(READER)

    assert both_tokens().viewer(session) == Viewer(MonitorRole.READER, signed_in=True)
    assert both_tokens("another token").viewer(session) is None


def test_session_after_its_lifetime_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user must sign in again."""
    access = both_tokens()
    session = access.sign_in(READER)
    later = time.time() + SESSION_S + 1
    monkeypatch.setattr(time, "time", lambda: later)

    assert access.viewer(session) is None


@pytest.mark.parametrize(
    "forged",
    [None, "", ".", "..", "reader", "reader.9999999999.", "reader.x.y", "nobody.1.2", "é"],
)
def test_session_that_is_forged_is_invalid(forged: str | None) -> None:
    """Its signature must be that of its role and end."""
    assert both_tokens().viewer(forged) is None


def test_session_that_was_changed_is_invalid() -> None:
    """A reader cannot become an operator by editing the cookie."""
    access = both_tokens()
    session = access.sign_in(READER)
    assert session

    assert access.viewer(session.replace("reader", "operator")) is None
    assert access.viewer(session[:-1]) is None
