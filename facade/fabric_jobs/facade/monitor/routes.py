"""The pages, their streams, and the one thing that can be done on them."""

import logging
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect, ServerSentEvent

from fabric_jobs.contract.topics import canonical_job_id
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.monitor.access import MonitorRole
from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.live import Live
from fabric_jobs.facade.monitor.pages import ExecutorsPage, JobPage, JobsPage, Page, Service
from fabric_jobs.facade.monitor.query import Query, QueryError
from fabric_jobs.facade.monitor.render import PATH, Renderer
from fabric_jobs.facade.monitor.timeline import Histories
from fabric_jobs.facade.replica import JOB_RETENTION
from fabric_jobs.runtime.telemetry.logs import concerning

log = logging.getLogger("fabric_jobs.monitor")

Asked = Request[Any, Any, Any]


def page_routes(
    jobs: Jobs,
    service: Service,
    histories: Histories,
    live: Live,
    renderer: Renderer,
    guards: Guards,
) -> list[HTTPRouteHandler]:
    """The handlers of all pages."""

    async def rendered(page: Page, live_at: str) -> Response[str]:
        html = renderer.page(
            page.template, await page.parts(), page=page, live_at=live_at, now=datetime.now(UTC)
        )
        return Response(html, media_type=MediaType.HTML)

    def stream(request: Asked, page: Page) -> ServerSentEvent:
        if not live.has_room:
            raise HTTPException("Too many look at the monitor here.", status_code=503)
        # A sign-in may be over while one looks.
        return ServerSentEvent(live.stream(page, lambda: guards.role(request) is not None))

    async def job_page(request: Asked, job_id: str) -> JobPage:
        entry = await jobs.read(_known_form(job_id))
        if entry is None:
            raise HTTPException(
                "No such job is known: it never existed, or it is older than "
                f"{JOB_RETENTION.days} days.",
                status_code=404,
            )
        operator = guards.role(request) is MonitorRole.OPERATOR
        return JobPage(service, histories, entry, operator=operator)

    @get("/")
    async def show_jobs(request: Asked) -> Response[str]:
        query = _query(request)
        await jobs.freshen()
        return await rendered(JobsPage(service, query), f"{PATH}/live{query.text(query.before)}")

    @get("/live")
    async def watch_jobs(request: Asked) -> ServerSentEvent:
        return stream(request, JobsPage(service, _query(request)))

    @get("/executors")
    async def show_executors() -> Response[str]:
        return await rendered(ExecutorsPage(service), f"{PATH}/executors/live")

    @get("/executors/live")
    async def watch_executors(request: Asked) -> ServerSentEvent:
        return stream(request, ExecutorsPage(service))

    @get("/find")
    async def find_job(request: Asked) -> Redirect:
        job_id = _known_form(request.query_params.get("id", "").strip())
        return Redirect(f"{PATH}/jobs/{job_id}", status_code=303)

    @get("/jobs/{job_id:str}")
    async def show_job(request: Asked, job_id: FromPath[str]) -> Response[str]:
        page = await job_page(request, job_id)
        return await rendered(page, f"{PATH}/jobs/{page.job.job_id}/live")

    @get("/jobs/{job_id:str}/events")
    async def show_events(request: Asked, job_id: FromPath[str]) -> Response[str]:
        page = await job_page(request, job_id)
        await page.read()
        return await rendered(page, f"{PATH}/jobs/{page.job.job_id}/live")

    @get("/jobs/{job_id:str}/live")
    async def watch_job(request: Asked, job_id: FromPath[str]) -> ServerSentEvent:
        return stream(request, await job_page(request, job_id))

    @post("/jobs/{job_id:str}/cancel")
    async def cancel_job(job_id: FromPath[str]) -> Redirect:
        command = RequestCancel(job_id=_known_form(job_id))
        try:
            with concerning(job=command.job_id):
                entry = await jobs.execute(command)
                log.info("cancel from the monitor: the job is %s", entry.job.state.phase)
        except RefusedError:
            raise HTTPException("No such job is known.", status_code=404) from None
        return Redirect(f"{PATH}/jobs/{command.job_id}", status_code=303)

    return [
        show_jobs,
        watch_jobs,
        show_executors,
        watch_executors,
        find_job,
        show_job,
        show_events,
        watch_job,
        cancel_job,
    ]


def _query(request: Asked) -> Query:
    try:
        return Query.of(request.query_params)
    except QueryError as error:
        raise HTTPException(str(error), status_code=400) from None


def _known_form(job_id: str) -> str:
    try:
        return canonical_job_id(job_id)
    except ValueError:
        raise HTTPException(
            f"{job_id!r} is not the id of a job, which is a GUID.", status_code=400
        ) from None
