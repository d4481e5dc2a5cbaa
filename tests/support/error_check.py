"""Our check for schemathesis, which imports this module."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

MUST = {"errorCode", "message", "source"}
MAY = {"isPermanent", "messageParameters", "moreDetails"}


@schemathesis.check
def every_other_answer_is_an_error_response(
    ctx: CheckContext, response: Response, case: Case[Any]
) -> None:
    """Also where the description says nothing, as of a method that a path doesn't take."""
    if response.status_code < 300:
        return
    assert response.headers["content-type"] == ["application/json"]
    assert response.status_code < 500, response.text
    body = response.json()
    assert set(body) >= MUST
    assert set(body) <= MUST | MAY
    assert body["source"] in ("System", "User", "External")
    assert body["message"].endswith("."), "a message is a sentence"
    assert "Traceback" not in response.text
