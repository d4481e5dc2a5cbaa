"""The largest event that facades write fits the topic that they require."""

import json

import pytest
from msgspec.structs import replace

from fabric_jobs.contract import events
from fabric_jobs.facade.lifecycle import decide
from fabric_jobs.facade.sealing import JobSecrets
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup import topics
from fabric_jobs.runtime.settings import Secret
from tests.support.lifecycle import request, stamp
from tests.support.sealing import NO_SEALING, OLD_KEY, ring_setting, sealing


@pytest.mark.parametrize(
    ("secrets", "ring"), [(NO_SEALING, None), (sealing(), Secret(ring_setting(OLD_KEY)))]
)
def test_event_with_the_largest_payload_and_definition_fits_the_topic(
    secrets: JobSecrets, ring: Secret | None
) -> None:
    """A sealed event is a third larger, and the topic must have room for that."""
    settings = FacadeSettings(sealing_keys=ring)
    command = replace(
        request(),
        payload=json.dumps("x" * (settings.body_limit_bytes - 2)).encode(),
        definition=json.dumps("x" * (settings.definition_limit_bytes - 2)).encode(),
    )
    decision = decide(None, command, stamp())
    assert isinstance(decision, events.Requested)
    size = len(events.encode(secrets.seal(decision)))
    required = topics.events(settings).max_record_bytes
    assert size < required
    # What remains is the room for the rest of an event: errors, progress and checkpoint.
    assert required - size > (1 if ring is None else 4 / 3) * (topics.MAX_EVENT_REST_BYTES - 2048)
