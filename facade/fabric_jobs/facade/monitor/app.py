"""The monitor as an application beside Fabric's HTTP API, with its own errors and headers."""

from collections.abc import Callable
from typing import Any

from aiokafka.structs import ConsumerRecord
from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.file_system import BaseLocalFileSystem
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp, PathType, Receive, Scope, Send
from litestar.types.file_types import FileInfo

from fabric_jobs.facade.controls import JobTypes
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.monitor.access import MonitorAccess
from fabric_jobs.facade.monitor.bulk import BulkRuns
from fabric_jobs.facade.monitor.bulk_routes import bulk_routes
from fabric_jobs.facade.monitor.ended_page import EndedCounter
from fabric_jobs.facade.monitor.errors import ErrorPages
from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.headers import add_security_headers
from fabric_jobs.facade.monitor.links import Links
from fabric_jobs.facade.monitor.live import LiveUpdates
from fabric_jobs.facade.monitor.openid import OpenIdSignIn
from fabric_jobs.facade.monitor.pages import MonitorData
from fabric_jobs.facade.monitor.render import PATH, STATIC, Renderer
from fabric_jobs.facade.monitor.responder import Responder
from fabric_jobs.facade.monitor.routes import page_routes
from fabric_jobs.facade.monitor.sign_in import sign_in_routes
from fabric_jobs.facade.monitor.timeline import HistoryReader
from fabric_jobs.facade.observability.health import ReplicaHealth
from fabric_jobs.facade.replica import Replica
from fabric_jobs.facade.roster import Roster
from fabric_jobs.facade.settings import FacadeSettings

#: Bound of a request's body, in bytes. The largest body is the form of a sign-in.
MAX_BODY_BYTES = 4096
_YEAR_S = 365 * 24 * 60 * 60


class _StaticFiles(BaseLocalFileSystem):
    """The file system, in which a name that no file can have is a name that no file has."""

    async def info(self, path: PathType, **_: Any) -> FileInfo:
        """What is known of the file. Raises `FileNotFoundError`."""
        try:
            return await super().info(path)
        except (OSError, ValueError) as error:
            raise FileNotFoundError(path) from error


class Monitor:
    """The monitor of one replica."""

    def __init__(
        self,
        settings: FacadeSettings,
        access: MonitorAccess,
        people: OpenIdSignIn | None,
        jobs: Jobs,
        replica: Replica,
        roster: Roster,
        job_types: JobTypes,
        health: ReplicaHealth,
        accepts: Callable[[ConsumerRecord], bool] = lambda _: True,
    ) -> None:
        """`people` signs people in at a provider; None if only tokens sign in.

        `accepts` returns whether a record of the topic has the code that the facade requires.
        """
        renderer = Renderer(Links(settings.monitor_trace_url, settings.monitor_log_url))
        guards = Guards(access)
        data = MonitorData(replica, roster, job_types, health, jobs.secrets)
        self._live = LiveUpdates(replica, renderer.render_part)
        history = HistoryReader(settings, jobs.secrets.reveal_event, accepts)
        respond = Responder(renderer, guards, self._live)
        self._bulk_runs = BulkRuns(jobs)
        pages = [
            *page_routes(jobs, data, EndedCounter(replica), history, respond, guards),
            *bulk_routes(jobs, data, self._bulk_runs, respond, guards),
        ]
        errors = ErrorPages(renderer, guards)
        files = create_static_files_router(
            "/static",
            [STATIC],
            cache_control=CacheControlHeader(max_age=_YEAR_S, immutable=True),
            file_system=_StaticFiles(),
        )
        self.app = Litestar(
            [
                Router(
                    PATH,
                    route_handlers=[
                        Router("/", route_handlers=pages, guards=[guards.check_role]),
                        *sign_in_routes(access, people, guards, renderer),
                        files,
                    ],
                    guards=[guards.check_origin],
                )
            ],
            exception_handlers={Exception: errors.respond, HTTPException: errors.respond},
            request_max_body_size=MAX_BODY_BYTES,
            openapi_config=None,
            logging_config=None,
        )
        self._secured = add_security_headers(self.app)

    def mount_on(self, app: ASGIApp) -> ASGIApp:
        """Returns the application with the monitor mounted under `PATH`."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            is_http = scope["type"] == ScopeType.HTTP
            for_monitor = is_http and f"{scope['path']}/".startswith(f"{PATH}/")
            await (self._secured if for_monitor else app)(scope, receive, send)

        return call

    def stop(self) -> None:
        """Ends the streams, so that browsers reconnect to another replica, and the bulk run."""
        self._live.stop()
        self._bulk_runs.stop()
