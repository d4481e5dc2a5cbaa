"""What an orchestrator and Prometheus ask: outside of the base path, and answered to anybody."""

import asyncio
from collections.abc import Sequence

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fabric_jobs.facade.observability.health import ReplicaHealth

LIVEZ, READYZ, METRICS = PROBES = ("/livez", "/readyz", "/metrics")


#: Without the charset, which the framework adds.
_FORM = CONTENT_TYPE_PLAIN_0_0_4.partition("; charset")[0]


class Probe(Struct, frozen=True):
    """The answer to a probe."""

    ok: bool
    #: What is wrong; empty where all is well.
    reasons: Sequence[str]


def probe_routes(health: ReplicaHealth) -> list[HTTPRouteHandler]:
    """The handlers of `/livez`, `/readyz` and `/metrics`."""
    one_at_a_time = asyncio.Lock()

    def answer(reasons: Sequence[str]) -> Response[Probe]:
        return Response(Probe(not reasons, reasons), status_code=503 if reasons else 200)

    @get(LIVEZ, include_in_schema=False)
    async def livez() -> Response[Probe]:
        """The loop answers, and everything runs in it that should."""
        return answer(health.dead())

    @get(READYZ, include_in_schema=False)
    async def readyz() -> Response[Probe]:
        """The replica is to be sent requests."""
        return answer(health.unready())

    @get(METRICS, include_in_schema=False)
    async def metrics() -> Response[bytes]:
        """The metrics, as Prometheus reads them."""
        # Milliseconds, for which no request has to wait; and the exporter takes one at a time.
        async with one_at_a_time:
            text = await asyncio.to_thread(generate_latest)
        return Response(text, media_type=_FORM)

    return [livez, readyz, metrics]
