"""The example handlers, which `fabric-jobs dev` and `fabric-jobs demo` run."""

import asyncio
from typing import Any

import msgspec

from fabric_jobs.executor import Executor, Job, JobFailed

executor = Executor()

MONTHS = 12


class Forecast(msgspec.Struct):
    """The payload of the request. The executor decodes it before it calls the handler."""

    priority: str = "normal"


@executor.job("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
async def calculate_forecast(job: Job[Forecast]) -> None:
    """Waits for one or two seconds in all, and reports its progress after each month."""
    for month in range(MONTHS):
        await job.progress(month / MONTHS, f"month {month + 1} of {MONTHS}")
        await asyncio.sleep(0.1 if job.payload.priority == "high" else 0.2)


@executor.job("Contoso.FinanceAnalytics.Forecast", "importActuals")
async def import_actuals(job: Job[Any]) -> None:
    """Fails with a permanent error, because another attempt would fail too."""
    raise JobFailed(
        "The forecast has no source of actuals. Set one on the item.",
        code="SourceMissing",
        source="User",
        permanent=True,
    )
