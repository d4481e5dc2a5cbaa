"""The Litestar application: Fabric's routes under the base path, and the probes."""

from importlib.metadata import version
from typing import Any

from litestar import Litestar, Response, Router
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, ScalarRenderPlugin
from litestar.types import ASGIApp

from fabric_jobs.facade.http.correlation import add_correlation_ids
from fabric_jobs.facade.http.errors import to_response
from fabric_jobs.facade.http.instrumentation import instrument
from fabric_jobs.facade.http.openapi import COMPONENTS, SECURITY_SCHEME, correct_answer_schemas
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.http.paths import normalize_paths
from fabric_jobs.facade.http.probes import probe_routes
from fabric_jobs.facade.http.remote import remote_routes
from fabric_jobs.facade.http.routes import wdk_routes
from fabric_jobs.facade.observability.health import ReplicaHealth


def http_app(
    operations: Operations,
    base_path: str,
    body_limit: int,
    definition_limit: int,
    health: ReplicaHealth,
    docs: bool,
) -> ASGIApp:
    """The ASGI application. The limits are in bytes; `docs` makes `/schema` a web page."""
    routes = [
        *wdk_routes(operations),
        *remote_routes(operations, body_limit, definition_limit),
    ]
    app = Litestar(
        [Router(base_path, route_handlers=routes), *probe_routes(health)],
        # Litestar finds a handler for `HTTPException` before one for `Exception`: set both, so that
        # every error has Fabric's body.
        exception_handlers={Exception: to_response, HTTPException: to_response},
        request_max_body_size=body_limit,
        openapi_config=OpenAPIConfig(
            title="fabric-jobs",
            version=version("fabric-jobs"),
            use_handler_docstrings=True,
            components=COMPONENTS,
            security=[{SECURITY_SCHEME: []}],
            # The web page loads scripts from elsewhere, so it is for development only.
            render_plugins=[ScalarRenderPlugin() if docs else JsonRenderPlugin()],
            openapi_router=Router(
                "/schema", route_handlers=[], include_in_schema=False, after_request=_raise_404
            ),
        ),
        logging_config=None,
    )
    correct_answer_schemas(app.openapi_schema)
    return add_correlation_ids(instrument(normalize_paths(app, base_path)))


def _raise_404(response: Response[Any]) -> Response[Any]:
    """Replaces Litestar's own 404 page under `/schema` by Fabric's error body."""
    if response.status_code == 404:
        raise NotFoundException
    return response
