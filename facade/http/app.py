"""The Litestar application: Fabric's routes under the base path, and the probes."""

from collections.abc import Callable

from litestar import Litestar, Response, Router, get
from litestar.exceptions import HTTPException

from facade.http.errors import to_response
from facade.http.routes import job_routes
from facade.jobs import Jobs


def http_app(jobs: Jobs, base_path: str, body_limit: int, ready: Callable[[], bool]) -> Litestar:
    """The application. `ready` says whether this replica should be sent requests."""

    @get("/livez")
    async def livez() -> Response[bytes]:
        """The process answers."""
        return Response(b"")

    @get("/readyz")
    async def readyz() -> Response[bytes]:
        """The replica has caught up with the log."""
        return Response(b"", status_code=200 if ready() else 503)

    return Litestar(
        [Router(base_path, route_handlers=job_routes(jobs)), livez, readyz],
        # The status alone would not do: every answer that is no success has Fabric's body.
        exception_handlers={Exception: to_response, HTTPException: to_response},
        request_max_body_size=body_limit,
        openapi_config=None,
        logging_config=None,
    )
