"""The endpoints for an orchestrator and for Prometheus.

They lie outside of the base path, and need no authentication.
"""

import asyncio
from collections.abc import Sequence

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fabric_jobs.facade.observability.health import ReplicaHealth

LIVEZ, READYZ, METRICS = PROBES = ("/livez", "/readyz", "/metrics")
#: Litestar adds the charset itself.
_METRICS_TYPE = CONTENT_TYPE_PLAIN_0_0_4.partition("; charset")[0]


class Probe(Struct, frozen=True):
    """The answer to a probe."""

    ok: bool
    #: What is wrong; empty if nothing is.
    reasons: Sequence[str]


def probe_routes(health: ReplicaHealth) -> list[HTTPRouteHandler]:
    """The handlers of `/livez`, `/readyz` and `/metrics`."""
    one_at_a_time = asyncio.Lock()

    def answer(reasons: Sequence[str]) -> Response[Probe]:
        return Response(Probe(not reasons, reasons), status_code=503 if reasons else 200)

    @get(LIVEZ, include_in_schema=False)
    async def livez() -> Response[Probe]:
        """200 while the event loop and every essential task runs."""
        return answer(health.failures())

    @get(READYZ, include_in_schema=False)
    async def readyz() -> Response[Probe]:
        """200 while the replica is ready for requests."""
        return answer(health.unready_reasons())

    @get(METRICS, include_in_schema=False)
    async def metrics() -> Response[bytes]:
        """The metrics, in the text format that Prometheus reads."""
        # It takes milliseconds, so it runs in a thread. The exporter allows one reader at a time.
        async with one_at_a_time:
            text = await asyncio.to_thread(generate_latest)
        return Response(text, media_type=_METRICS_TYPE)

    return [livez, readyz, metrics]
