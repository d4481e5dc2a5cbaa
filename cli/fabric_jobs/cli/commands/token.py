"""`fabric-jobs token`: prints the headers of Fabric's calls, for another client."""

from uuid import UUID

import click

from fabric_jobs.cli.clients.identity import fetch_headers
from fabric_jobs.cli.options import authority_option, tenant_option
from fabric_jobs.cli.run import run_or_exit


@click.command("token")
@authority_option("The URL of the local token issuer.")
@tenant_option
@click.option(
    "--version",
    type=click.Choice(["1.0", "2.0"]),
    default="2.0",
    show_default=True,
    help="The version of the tokens.",
)
@click.option(
    "--no-subject", is_flag=True, help="Leave out the user's token, as for a scheduled job."
)
def token_command(authority: str, tenant: UUID, version: str, no_subject: bool) -> None:
    """Print the headers that Fabric would send, for `curl -H @-`."""
    subject = "no" if no_subject else "yes"
    request = fetch_headers(authority, tenant=str(tenant), version=version, subject=subject)
    for name, value in run_or_exit(request).items():
        click.echo(f"{name}: {value}")
