"""A small file system in memory for the state of one facade, which a fault can fill or damage."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

#: Room for the state of the 108,000 jobs of an hour, about 180 MB, and for a copy of it.
_SIZE = "640m"
_PAGE = 4096
_CHUNK = 1024 * 1024


def why_unavailable() -> str | None:
    """Why this machine can't mount a file system for a test, or None."""
    return None if os.geteuid() == 0 else "only root may mount a file system"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The folder is a file system of its own until the end of the block, where that is allowed.

    Its files stay in the folder.
    """
    if why_unavailable():
        yield
        return
    options = f"size={_SIZE},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        with TemporaryDirectory() as kept:
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
            shutil.copytree(kept, folder, dirs_exist_ok=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte is left in the folder's file system until the end of the block."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(_CHUNK))
        yield
    finally:
        filler.unlink()


def damage(folder: Path, dice: Random) -> None:
    """Overwrites one page of the folder's largest file, the state, with random bytes."""
    state = max(folder.iterdir(), key=lambda file: file.stat().st_size)
    pages = state.stat().st_size // _PAGE
    with state.open("r+b") as file:
        file.seek(dice.randrange(pages) * _PAGE)
        file.write(dice.randbytes(_PAGE))
