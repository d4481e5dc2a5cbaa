"""FastAPI and DBOS on PostgreSQL: the workflow, and the program that runs it from a queue."""

import asyncio
import os
import sys

import psycopg
from dbos import DBOS, DBOSConfig

QUEUE = "bench"
SERVER = os.environ["BENCH_BACKEND"]
config: DBOSConfig = {
    "name": "bench",
    "system_database_url": SERVER,
    "log_level": "ERROR",
    # Clients enqueue for this version; by default it is a hash of the code.
    "application_version": "1",
}


@DBOS.workflow(name="nothing")
async def nothing(sent: int) -> None:
    """Completes at once; DBOS reports the end once."""


async def work() -> None:
    """Run the worker; `schema` creates the tables, `analyse` updates their statistics."""
    if sys.argv[1:] == ["analyse"]:
        with psycopg.connect(SERVER, autocommit=True) as connection:
            connection.execute("ANALYZE")
        return
    DBOS(config=config)
    DBOS.launch()
    slots = int(os.environ["BENCH_SLOTS"])
    # Polled every second, as by default, this many slots would run as many jobs a second.
    await DBOS.register_queue_async(QUEUE, worker_concurrency=slots, polling_interval_sec=0.1)
    if sys.argv[1:] == ["schema"]:
        DBOS.destroy()
        return
    print("worker ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work())
