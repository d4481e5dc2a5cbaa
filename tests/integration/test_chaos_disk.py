"""The small disk of a facade's state, which the chaos run fills."""

from pathlib import Path

import pytest

from tests.chaos import disk
from tests.support.requirements import missing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, where the machine can mount a file system."""
    if reason := disk.why_unavailable():
        missing("A file system of its own", reason)
    return tmp_path


def test_full_disk_takes_no_byte_until_the_block_ends(folder: Path) -> None:
    """What was there stays."""
    with disk.small_disk(folder):
        (folder / "state").write_text("kept")
        with disk.full(folder), pytest.raises(OSError, match="No space left"):
            (folder / "more").write_bytes(bytes(4096))
        (folder / "more").write_bytes(bytes(4096))

    assert (folder / "state").read_text() == "kept"
