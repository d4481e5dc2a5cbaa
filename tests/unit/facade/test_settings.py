"""The facade's settings."""

from datetime import timedelta
from pathlib import Path

import pytest

from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import SettingsError, from_env


def test_state_file_with_a_missing_folder_creates_the_folder(tmp_path: Path) -> None:
    """A first start needs no preparation, and neither does one after the loss of the disk."""
    file = FacadeSettings(state_dir=tmp_path / "new" / "state").state_file()

    assert file == tmp_path / "new" / "state" / "replica.sqlite"
    assert list(file.parent.iterdir()) == []


def test_state_file_in_an_unwritable_folder_raises_error_that_names_the_variable(
    tmp_path: Path,
) -> None:
    """In this test, a file has the folder's name."""
    (tmp_path / "state").write_text("")
    with pytest.raises(SettingsError, match=r"^FABRIC_JOBS_STATE_DIR='.*state' can't be written"):
        FacadeSettings(state_dir=tmp_path / "state").state_file()


def test_lease_above_the_retention_of_heartbeats_raises_settings_error() -> None:
    """Heartbeats are kept for an hour, so no replica could verify a longer silence."""
    assert from_env(FacadeSettings, {"FABRIC_JOBS_LEASE_S": "3600"}).lease_s == 3600
    with pytest.raises(SettingsError, match="FABRIC_JOBS_LEASE_S"):
        from_env(FacadeSettings, {"FABRIC_JOBS_LEASE_S": "3601"})


def test_longest_life_is_from_two_hours_to_fabric_s_own_bound() -> None:
    """What the replica and the topic keep follows from it."""
    for wrong in ("7199", "2073601", "24h"):
        with pytest.raises(SettingsError, match="from 7200 to 2073600, for example 86400"):
            from_env(FacadeSettings, {"FABRIC_JOBS_LONGEST_LIFE_S": wrong})
    lifetime = from_env(FacadeSettings, {"FABRIC_JOBS_LONGEST_LIFE_S": "2073600"}).lifetime

    assert lifetime.longest == timedelta(days=24)
    assert lifetime.retention == timedelta(days=31)
    assert lifetime.min_record_retention == timedelta(days=62)
