"""Becomes a program that Linux kills together with its parent: `leash.py PARENT PROGRAM ARG...`."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, *command: str) -> None:
    """Replace this process by the command, tied to the parent's life."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        # It died before the line above, and the kernel has nothing left to tell.
        sys.exit(f"The parent {parent} is gone.")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
