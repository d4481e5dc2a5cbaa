"""`fabric-jobs check`: checks what a facade needs, by starting the facade's own check."""

import subprocess
import sys

import click


@click.command("check")
@click.option("--create", is_flag=True, help="Create the topics that are missing.")
def check_command(create: bool) -> None:
    """Check what a facade needs before it takes traffic.

    The command reads the facade's environment variables. It checks the settings, the state folder,
    the authority's keys, Kafka, its topics and the clock. Each check prints a line that says ok,
    warning or failed, and what to do. The exit code is 1 if a check failed.
    """
    options = ["--create"] if create else []
    sys.exit(subprocess.call([sys.executable, "-m", "fabric_jobs.facade", "check", *options]))
