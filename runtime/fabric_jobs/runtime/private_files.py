"""Files and folders that no other user may read, because they hold payloads or keys."""

import logging
import os
import stat
from pathlib import Path

log = logging.getLogger("fabric_jobs.files")

#: The permissions of the group and of all other users.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_private_file(path: Path) -> None:
    """Creates an empty file with mode 0600, or makes the existing file private.

    Raises `OSError` if the file can't be created.
    """
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    make_private(path)


def make_private(path: Path) -> None:
    """Removes the permissions of the group and of others from a file or folder, and logs it.

    A folder that every user may write to, such as /tmp, keeps its mode: a warning is logged. So it
    is for a file or folder of another user, whose mode this user can't change.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & _OTHERS:
        return
    if mode & stat.S_ISVTX:
        log.warning("%s is shared by all users (mode %o): name a folder of its own", path, mode)
        return
    try:
        path.chmod(mode & ~_OTHERS)
    except PermissionError:
        log.warning("%s belongs to another user and keeps mode %o", path, mode)
    else:
        log.warning("%s had mode %o, and now only its owner may use it", path, mode)
