"""The damage of a facade's state."""

from pathlib import Path
from random import Random

from tests.chaos import disk


def test_damage_changes_one_page_of_the_largest_file(tmp_path: Path) -> None:
    """The file keeps its size."""
    state, small = tmp_path / "state", tmp_path / "small"
    state.write_bytes(bytes(10 * 4096))
    small.write_bytes(bytes(4096))

    disk.damage(tmp_path, Random(1))

    pages = [state.read_bytes()[at : at + 4096] for at in range(0, 10 * 4096, 4096)]
    assert sum(page != bytes(4096) for page in pages) == 1
    assert len(pages) == 10
    assert small.read_bytes() == bytes(4096)
