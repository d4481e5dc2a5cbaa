"""Answers of the authority to a request for a token."""

from typing import Any

import pytest

from fabric_jobs.facade.on_behalf_of.answers import MAX_LIFETIME_S, read_answer
from fabric_jobs.facade.on_behalf_of.errors import (
    AuthorityAwayError,
    InteractionRequiredError,
    TokenError,
    TokenRefusedError,
)

SCOPE = "https://storage.azure.com/.default"


@pytest.mark.parametrize(
    ("expires_in", "lifetime_s"),
    [
        *((3600, 3600), ("3600", 3600), (0, 0), (None, 0), ("soon", 0), ([], 0), (-5, 0)),
        *((float("nan"), 0), ("inf", 0), (1e300, MAX_LIFETIME_S), ("9" * 400, 0)),
    ],
)
def test_read_answer_takes_any_expires_in(expires_in: Any, lifetime_s: float) -> None:
    """A token whose lifetime is not known is used once."""
    token = read_answer({"access_token": "AT", "expires_in": expires_in}, SCOPE, 100.0)

    assert token.expires_at - token.given_at == lifetime_s


@pytest.mark.parametrize(
    ("answer", "raised", "words"),
    [
        ({}, TokenRefusedError, "no_token, no_token"),
        ([], AuthorityAwayError, "no JSON object"),
        ({"access_token": None}, TokenRefusedError, "no_token"),
        ({"access_token": ["AT"]}, TokenRefusedError, "no_token"),
        ({"error": None, "error_description": None}, TokenRefusedError, "no_token"),
        ({"error": "", "error_description": "\n"}, TokenRefusedError, "no_token"),
        ({"error": "x", "error_description": ""}, TokenRefusedError, "x, x"),
        ({"error": "x", "error_description": "\ny\nz"}, TokenRefusedError, "x, y$"),
        ({"error": "invalid_grant", "error_description": ""}, InteractionRequiredError, "grant"),
        ({"error": "server_error", "error_description": ""}, AuthorityAwayError, "patience"),
    ],
)
def test_read_answer_without_a_token_raises_token_error(
    answer: Any, raised: type[TokenError], words: str
) -> None:
    """Whatever the authority leaves out, the error has a text."""
    with pytest.raises(raised, match=words):
        read_answer(answer, SCOPE, 100.0)
