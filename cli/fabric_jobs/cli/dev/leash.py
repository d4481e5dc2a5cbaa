"""Runs a program that Linux kills when its parent dies: `leash.py PARENT_PID PROGRAM ARG...`."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, *command: str) -> None:
    """Asks the kernel for SIGKILL at the parent's death, and becomes the program."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        # The parent died before the call of prctl, so the kernel will send no signal.
        sys.exit(f"The parent process {parent} is gone.")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
