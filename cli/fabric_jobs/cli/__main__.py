"""The entry point of `fabric-jobs`, which reports a missing extra in one line."""

import sys


def main() -> None:
    """Runs the command line. Exits with code 1 if the packages of the extra `cli` are missing."""
    try:
        from fabric_jobs.cli.main import main as command_line
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "fabric_jobs":  # a fault of this package, not of its installation
            raise
        sys.exit(
            f"Error: `fabric-jobs` needs the extra fabric-jobs[cli]: {package} is not installed. "
            "Install it from a checkout or a wheel: pip install 'PATH[cli]'."
        )
    command_line()


if __name__ == "__main__":
    main()
