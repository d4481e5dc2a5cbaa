"""CPU and memory of a process and its children, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
#: Fields of /proc/PID/stat after the command's name: the parent, and user and system time.
_PARENT, _USER, _SYSTEM = 1, 11, 12


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds that these processes and their descendants have used."""
    wanted, stats = set(pids), _stats()
    grown = True
    while grown:
        below = {pid for pid, fields in stats.items() if int(fields[_PARENT]) in wanted}
        grown = not below <= wanted
        wanted |= below
    used = (int(stats[pid][_USER]) + int(stats[pid][_SYSTEM]) for pid in wanted if pid in stats)
    return sum(used) / _TICKS


def resident_mb(pid: int) -> float:
    """The resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise ProcessLookupError(pid)


def _stats() -> dict[int, list[str]]:
    stats = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue  # the process has ended
            stats[int(folder.name)] = text.rpartition(")")[2].split()
    return stats
