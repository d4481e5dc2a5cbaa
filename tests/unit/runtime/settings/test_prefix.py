"""One prefix before the names of topics and pool: several installations on one Kafka."""

import pytest
from msgspec.structs import replace

from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import SettingsError, from_env

PREFIX = {"FABRIC_JOBS_KAFKA_PREFIX": "anna."}


def test_prefix_goes_before_each_topic_and_the_pool() -> None:
    """Also before a name that is set."""
    facade = from_env(FacadeSettings, PREFIX)
    executor = from_env(ExecutorSettings, PREFIX | {"FABRIC_JOBS_POOL": "gpu"})

    assert facade.events_topic == executor.events_topic == "anna.fabric.jobs.events"
    assert facade.heartbeats_topic == "anna.fabric.jobs.heartbeats"
    assert facade.controls_topic == "anna.fabric.jobs.controls"
    assert facade.grants_topic == "anna.fabric.jobs.grants"
    assert executor.pool == "anna.gpu"


def test_prefix_goes_before_a_name_once() -> None:
    """Changed settings are made anew from the old ones, whose names have the prefix."""
    settings = replace(from_env(ExecutorSettings, PREFIX), slots=3)

    assert settings.events_topic == "anna.fabric.jobs.events"
    assert settings.pool == "anna.default"


def test_no_prefix_leaves_the_names() -> None:
    """The default."""
    assert from_env(ExecutorSettings, {}).pool == "default"


def test_prefix_with_a_character_that_no_topic_has_is_refused() -> None:
    """The error names the variable."""
    with pytest.raises(SettingsError, match="FABRIC_JOBS_KAFKA_PREFIX"):
        from_env(ExecutorSettings, {"FABRIC_JOBS_KAFKA_PREFIX": "an/na"})
