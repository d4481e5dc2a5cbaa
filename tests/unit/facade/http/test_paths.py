"""Request paths: valid UTF-8, and the letter case of the fixed segments."""

from typing import Any

import pytest

from fabric_jobs.facade.http.paths import normalize_paths

ITEM = "/base/workspaces/W/items/Items/I"


async def routed(path: str, raw_path: bytes = b"") -> tuple[str | None, int]:
    """The path that the application sees, or None, and the status of the answer."""
    seen: str | None = None
    sent = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        seen = scope["path"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "path": path, "raw_path": raw_path, "headers": []}
    await normalize_paths(app, "/base")(scope, receive, send)
    return seen, sent[0]["status"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/base/Workspaces/W/ITEMS/Items/I/jobtypes/JobTypes/Instances/J/Cancel",
            f"{ITEM}/jobTypes/JobTypes/instances/J/cancel",
        ),
        (f"{ITEM}/jobTypes/T/instances/J", f"{ITEM}/jobTypes/T/instances/J"),
        (f"{ITEM}/Jobs/OnCreateJobInstance", f"{ITEM}/jobs/onCreateJobInstance"),
        (f"{ITEM}/jobs/ongetjobinstancestatus", f"{ITEM}/jobs/onGetJobInstanceStatus"),
        ("/BASE/Workspaces", "/BASE/Workspaces"),
        ("/base/elsewhere", "/base/elsewhere"),
        ("/livez", "/livez"),
    ],
)
async def test_fixed_segments_ignore_letter_case(path: str, expected: str) -> None:
    """Names between them keep theirs, and so does the base path, which the operator chose."""
    assert await routed(path, path.encode()) == (expected, 200)


@pytest.mark.parametrize("raw", [b"/base/%FF", b"/base/%EF%BF%BD%80", b"/base/%C3"])
async def test_path_that_is_not_utf8_is_400(raw: bytes) -> None:
    """The server decodes it with replacements, so that different paths would be one job."""
    assert await routed("/base/\ufffd", raw) == (None, 400)


async def test_replacement_character_itself_is_a_name() -> None:
    """The replacement character is valid UTF-8."""
    assert await routed("/base/\ufffd", b"/base/%EF%BF%BD") == ("/base/\ufffd", 200)
