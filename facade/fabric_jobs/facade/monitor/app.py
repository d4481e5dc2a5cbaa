"""The monitor: an application of its own beside Fabric's, with its own errors and headers."""

from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp, Receive, Scope, Send

from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.monitor.access import MonitorAccess
from fabric_jobs.facade.monitor.errors import Errors
from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.headers import protected
from fabric_jobs.facade.monitor.live import Live
from fabric_jobs.facade.monitor.pages import Service
from fabric_jobs.facade.monitor.render import PATH, STATIC, Renderer
from fabric_jobs.facade.monitor.routes import page_routes
from fabric_jobs.facade.monitor.sign_in import sign_in_routes
from fabric_jobs.facade.monitor.timeline import Histories
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.settings import FacadeSettings

#: A sign-in's form, the only body that is taken, in bytes.
_BODY_LIMIT = 4096
_YEAR_S = 365 * 24 * 60 * 60


class Monitor:
    """The pages, on one replica."""

    def __init__(
        self,
        settings: FacadeSettings,
        access: MonitorAccess,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        health: ReplicaHealth,
    ) -> None:
        renderer = Renderer(settings.monitor_trace_url, signed_in=not access.is_open)
        guards = Guards(access)
        service = Service(replica, roster, health)
        self._live = Live(replica, renderer.part)
        pages = page_routes(jobs, service, Histories(settings), self._live, renderer, guards)
        errors = Errors(renderer)
        files = create_static_files_router(
            "/static",
            [STATIC],
            cache_control=CacheControlHeader(max_age=_YEAR_S, immutable=True),
        )
        self.app = Litestar(
            [
                Router(
                    PATH,
                    route_handlers=[
                        Router("/", route_handlers=pages, guards=[guards.check_role]),
                        *sign_in_routes(access, guards, renderer),
                        files,
                    ],
                    guards=[guards.check_origin],
                )
            ],
            exception_handlers={Exception: errors.respond, HTTPException: errors.respond},
            request_max_body_size=_BODY_LIMIT,
            openapi_config=None,
            logging_config=None,
        )
        self._protected = protected(self.app)

    def beside(self, app: ASGIApp) -> ASGIApp:
        """The application, and the monitor under its path."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            ours = scope["type"] == ScopeType.HTTP and f"{scope['path']}/".startswith(f"{PATH}/")
            await (self._protected if ours else app)(scope, receive, send)

        return call

    def stop(self) -> None:
        """Ends the streams, so that who looks goes to another replica."""
        self._live.stop()
