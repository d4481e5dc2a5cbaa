"""The parts of a job instance's identity in a request."""

import re

import pytest

from fabric_jobs.facade.http.errors import HttpError
from fabric_jobs.facade.http.instance import instance_of

GUID = "0f9d2c3e-5b7a-4c1d-8e6f-a0b1c2d3e4f5"


@pytest.mark.parametrize("name", ["Contoso.Finance", "日本", "a b", "\ufffd", "%FF"])
def test_instance_of_takes_any_name_without_control_characters(name: str) -> None:
    """Names are the workload's own."""
    assert instance_of(GUID, GUID, name, GUID, name, GUID).job_type == name


@pytest.mark.parametrize("name", ["a\nb", "\x00", "a\x1b[31m", "\x7f", "\x85", "a\n"])
def test_instance_of_refuses_a_name_with_control_characters(name: str) -> None:
    """It could forge a line wherever it is shown."""
    words = re.escape("jobType must have no control characters.")
    with pytest.raises(HttpError, match=words):
        instance_of(GUID, GUID, "Item", GUID, name, GUID)
