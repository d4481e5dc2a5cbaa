"""`fabric-jobs jobs events`: shows the events of one job, read from the topic."""

import os
from uuid import UUID

import click

from fabric_jobs.cli.clients.topic import read_events
from fabric_jobs.cli.dev.stack import KAFKA_VARIABLE
from fabric_jobs.cli.errors import InputError
from fabric_jobs.cli.options import job_id_argument, status_api_options
from fabric_jobs.cli.output.events import events_table
from fabric_jobs.cli.output.json_lines import event_json
from fabric_jobs.cli.output.tables import print_table
from fabric_jobs.cli.run import run_or_exit
from fabric_jobs.runtime.settings import KafkaSettings, SettingsError, from_env


@click.command("events")
@job_id_argument
@click.option(
    "--all", "include_ignored", is_flag=True, help="Show the events that were ignored, too."
)
@click.option(
    "--kafka",
    metavar="HOST:PORT",
    default=KafkaSettings().kafka_bootstrap_servers,
    envvar=KAFKA_VARIABLE,
    show_default=True,
    show_envvar=True,
    help="The bootstrap servers of the facade's Kafka.",
)
@status_api_options
def events_command(job_id: UUID, include_ignored: bool, kafka: str, json: bool, grpc: str) -> None:
    """Show the events of a job, in the order of the topic."""
    try:
        settings = from_env(KafkaSettings, {**os.environ, KAFKA_VARIABLE: kafka})
    except SettingsError as error:
        raise InputError(str(error)) from error
    logged = run_or_exit(read_events(grpc, settings, str(job_id), include_ignored=include_ignored))
    if json:
        for one in logged:
            click.echo(event_json(one))
    else:
        print_table(events_table(logged))
