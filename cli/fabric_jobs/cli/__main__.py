"""The entry point of `fabric-jobs`, which reports a missing extra or a full disk in one line."""

import errno
import os
import signal
import sys
from contextlib import suppress

#: The variable from which gRPC reads the level of its own log lines, when it is imported.
_GRPC_LOG_LEVEL = "GRPC_VERBOSITY"
#: The errors of a file that takes no further output.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def main() -> None:
    """Runs the command line.

    Exits with code 1 if the packages of the extra `cli` are missing, and with code 2 if the output
    can't be written.
    """
    # During the import, which takes a while, Ctrl-C ends the process without a traceback.
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _silence_grpc()
        from fabric_jobs.cli.main import main as command_line
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "fabric_jobs":  # a fault of this package, not of its installation
            raise
        sys.exit(
            f"Error: `fabric-jobs` needs the extra fabric-jobs[cli]: {package} is not installed. "
            "Install it from a checkout or a wheel: pip install 'PATH[cli]'."
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        command_line()
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        # At its exit, Python writes the rest of the output. That would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with suppress(OSError):
            print(f"Error: The output can't be written: {error.strerror}.", file=sys.stderr)
        sys.exit(2)


def _silence_grpc() -> None:
    """Imports gRPC without its own log lines, which would break a progress bar on the terminal.

    Does nothing if the user has set gRPC's variable. The variable is removed again, so that the
    programs that a command starts keep their gRPC log lines.
    """
    if _GRPC_LOG_LEVEL in os.environ:
        return
    os.environ[_GRPC_LOG_LEVEL] = "NONE"
    try:
        import grpc  # noqa: F401 - imported for its effect: it reads the variable
    finally:
        del os.environ[_GRPC_LOG_LEVEL]


if __name__ == "__main__":
    main()
