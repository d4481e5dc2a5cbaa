"""The private memory of a process that runs handlers: its limit, and how much of it is used."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PRIVATE_KB = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)


def private_mb(process_id: int) -> int:
    """Returns the MB (2**20 bytes) of a process that `memory_limit` limits.

    Returns 0 if the process has ended, and on platforms without this limit.
    """
    with suppress(OSError):
        if found := _PRIVATE_KB.search(Path(f"/proc/{process_id}/status").read_text()):
            return int(found[1]) // 1024
    return 0


class OwnMemory:
    """The memory of this process before it called a handler for the first time."""

    def __init__(self) -> None:
        #: MB with the imports and the lifespan. 0 before the first call.
        self.base_mb = 0

    def measure_base(self) -> None:
        """Measures the base, in the first call only. Later ones include what handlers left."""
        self.base_mb = self.base_mb or private_mb(os.getpid())


@contextmanager
def memory_limit(limit_mb: int | None) -> Iterator[None]:
    """Limits the private memory of this process inside the block, where the platform can."""
    if limit_mb is None or sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
