"""The example handlers, which `fabric-jobs dev` and `fabric-jobs demo` run."""

import asyncio
from typing import Any

import msgspec

from fabric_jobs.executor import Executor, Job, JobFailed

executor = Executor()

MONTHS = 12


class Forecast(msgspec.Struct):
    """The payload of the request, checked before the handler is called."""

    priority: str = "normal"


@executor.job("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
async def calculate_forecast(job: Job[Forecast]) -> None:
    """Takes a second or two, and says how far it is."""
    for month in range(MONTHS):
        await job.progress(month / MONTHS, f"month {month + 1} of {MONTHS}")
        await asyncio.sleep(0.1 if job.payload.priority == "high" else 0.2)


@executor.job("Contoso.FinanceAnalytics.Forecast", "importActuals")
async def import_actuals(job: Job[Any]) -> None:
    """Fails as a handler should where trying again can't help."""
    raise JobFailed(
        "The forecast has no source of actuals. Set one on the item.",
        code="SourceMissing",
        source="User",
        permanent=True,
    )
