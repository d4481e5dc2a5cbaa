"""The Litestar application: Fabric's routes under the base path, and the probes."""

from importlib.metadata import version
from typing import Any

from litestar import Litestar, Response, Router
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, ScalarRenderPlugin
from litestar.types import ASGIApp

from fabric_jobs.facade.http.correlation import correlated
from fabric_jobs.facade.http.errors import to_response
from fabric_jobs.facade.http.instrumentation import observed
from fabric_jobs.facade.http.openapi import COMPONENTS, SECURITY_SCHEME, tell_as_sent
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.http.probes import probe_routes
from fabric_jobs.facade.http.remote import remote_routes
from fabric_jobs.facade.http.routes import wdk_routes
from fabric_jobs.facade.observability.health import ReplicaHealth


def http_app(
    operations: Operations, base_path: str, body_limit: int, health: ReplicaHealth, docs: bool
) -> ASGIApp:
    """The application. `docs` adds pages to the description that is published under `/schema`."""
    routes = [*wdk_routes(operations), *remote_routes(operations)]
    app = Litestar(
        [Router(base_path, route_handlers=routes), *probe_routes(health)],
        # The status alone would not do: every answer that is no success has Fabric's body.
        exception_handlers={Exception: to_response, HTTPException: to_response},
        request_max_body_size=body_limit,
        openapi_config=OpenAPIConfig(
            title="fabric-jobs",
            version=version("fabric-jobs"),
            use_handler_docstrings=True,
            components=COMPONENTS,
            security=[{SECURITY_SCHEME: []}],
            # A page that loads its parts from elsewhere is for development.
            render_plugins=[ScalarRenderPlugin() if docs else JsonRenderPlugin()],
            openapi_router=Router(
                "/schema", route_handlers=[], include_in_schema=False, after_request=_no_page
            ),
        ),
        logging_config=None,
    )
    tell_as_sent(app.openapi_schema)
    return correlated(observed(app))


def _no_page(response: Response[Any]) -> Response[Any]:
    """What the framework would say by a page of its own is Fabric's error too."""
    if response.status_code == 404:
        raise NotFoundException
    return response
