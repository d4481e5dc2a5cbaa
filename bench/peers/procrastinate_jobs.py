"""FastAPI and Procrastinate on PostgreSQL: the application, its task, and its worker."""

import asyncio
import os
import sys
from typing import Any

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_BACKEND"], min_size=4, max_size=20))


@app.task(name="nothing")
async def nothing(sent: int, **_: Any) -> None:
    """Completes at once; Procrastinate reports the end once."""


async def work() -> None:
    """Run the worker; `schema` creates its tables, `analyse` updates their statistics."""
    async with app.open_async():
        if sys.argv[1:] == ["analyse"]:
            await app.connector.execute_query_async("ANALYZE")
            return
        if sys.argv[1:] == ["schema"]:
            await app.schema_manager.apply_schema_async()
            return
        print("worker ready", flush=True)
        await app.run_worker_async(concurrency=int(os.environ["BENCH_SLOTS"]))


if __name__ == "__main__":
    asyncio.run(work())
