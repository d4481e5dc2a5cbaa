"""The group `fabric-jobs` and its commands."""

import click

from fabric_jobs.cli.commands.check import check_command
from fabric_jobs.cli.commands.demo import demo_command
from fabric_jobs.cli.commands.dev import dev_command
from fabric_jobs.cli.commands.executors import executors
from fabric_jobs.cli.commands.job_types import job_types
from fabric_jobs.cli.commands.jobs import jobs
from fabric_jobs.cli.commands.new import new_command
from fabric_jobs.cli.commands.submit import submit_command
from fabric_jobs.cli.commands.token import token_command


class _Commands(click.Group):
    """The commands. They take arguments in UTF-8 only, because they send them to a facade."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError:
                ctx.fail(f"The argument {argument!r} is not UTF-8.")
        return super().parse_args(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fabric-jobs", prog_name="fabric-jobs")
def main() -> None:
    """Run the job service of a Microsoft Fabric workload on this machine, and manage its jobs."""


for _command in (
    new_command,
    dev_command,
    demo_command,
    submit_command,
    token_command,
    check_command,
    jobs,
    job_types,
    executors,
):
    main.add_command(_command)
