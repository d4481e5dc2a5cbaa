"""The name and the key of the events topic."""

import pytest

from fabric_jobs.contract.topics import EVENTS_TOPIC, canonical_job_id

CANONICAL = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


def test_events_topic_has_the_published_name() -> None:
    """Subscribers find the topic by this name, so it never changes."""
    assert EVENTS_TOPIC == "fabric.jobs.events"


@pytest.mark.parametrize(
    "text",
    [CANONICAL, CANONICAL.upper(), CANONICAL.title(), "0F9d2C3e-5b7A-4c1D-8E6f-a0B1c2D3e4F5"],
)
def test_canonical_job_id_of_a_guid_in_any_letter_case_is_lower_case(text: str) -> None:
    """All spellings of an id name one job."""
    assert canonical_job_id(text) == CANONICAL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job-1",
        CANONICAL[:-1],
        CANONICAL + "0",
        CANONICAL.replace("f", "g"),
        # `UUID` of Python accepts these, because `int` accepts the digits.
        "+" + CANONICAL[1:],
        "0x" + CANONICAL[2:],
        "0_9" + CANONICAL[3:],
        " " + CANONICAL[1:],
        "٣" + CANONICAL[1:],
    ],
)
def test_canonical_job_id_of_a_text_that_is_not_a_guid_raises_value_error(text: str) -> None:
    """A wrong text must not name another job."""
    with pytest.raises(ValueError, match="not a GUID"):
        canonical_job_id(text)
