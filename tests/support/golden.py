"""Records of events that were written to files once, and variations of them."""

import json
import tomllib
from typing import Any

from fabric_jobs.contract import events
from fabric_jobs.contract.events import KnownEvent
from tests.support.paths import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: A folder of records for each version.
GOLDEN = ROOT / "tests" / "unit" / "contract" / "golden"
#: The folder of what today's version writes.
VERSION = _PROJECT["version"].rpartition(".")[0]
#: Of each known type, the name of its files and its class.
KINDS: dict[str, type[KnownEvent]] = {
    "requested": events.Requested,
    "started": events.Started,
    "progressed": events.Progressed,
    "checkpointed": events.Checkpointed,
    "attempt-failed": events.AttemptFailed,
    "requeued": events.Requeued,
    "cancel-requested": events.CancelRequested,
    "completed": events.Completed,
    "failed": events.Failed,
    "cancelled": events.Cancelled,
}
#: An event type of a later version, whose record is in `later`.
LATER = "paused"


def golden(name: str, version: str = "") -> bytes:
    """The record of a type in a version's folder, today's by default, without the line break."""
    version = version or ("later" if name == LATER else VERSION)
    return (GOLDEN / version / f"fabric.jobs.{name}.json").read_bytes().removesuffix(b"\n")


def changed(name: str, path: str, value: object) -> bytes:
    """The golden record with another value in one field, which is named as `data.state.phase`."""
    whole: Any = json.loads(golden(name))
    part = whole
    *parents, last = path.split(".")
    for parent in parents:
        part = part[parent]
    part[last] = value
    return json.dumps(whole).encode()


def without(name: str, path: str) -> bytes:
    """The golden record without one field, which is named as `data.state.phase`."""
    whole: Any = json.loads(golden(name))
    part = whole
    *parents, last = path.split(".")
    for parent in parents:
        part = part[parent]
    del part[last]
    return json.dumps(whole).encode()
