"""The routes by which operators cancel or retry all jobs that match the filters of the list."""

import logging

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect, ServerSentEvent

from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.monitor.bulk import BulkAction, BulkBusyError, BulkRuns
from fabric_jobs.facade.monitor.bulk_pages import BulkQuestion, BulkRunPage, BulkTarget, find_target
from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.pages import MonitorData
from fabric_jobs.facade.monitor.query import Query
from fabric_jobs.facade.monitor.render import PATH
from fabric_jobs.facade.monitor.responder import AnyRequest, Responder, map_query_errors
from fabric_jobs.runtime.numbers import parse_whole_number

log = logging.getLogger("fabric_jobs.monitor")

_RUNS = f"{PATH}/bulk-runs"


def bulk_routes(
    jobs: Jobs, data: MonitorData, runs: BulkRuns, respond: Responder, guards: Guards
) -> list[HTTPRouteHandler]:
    """Returns the handlers of the question, of the start, of the result and of the stop."""

    def run_page(run_id: str) -> BulkRunPage:
        run = runs.get(run_id)
        if run is None:
            raise HTTPException(
                "This facade does not know this run. Another facade may have started it.",
                status_code=404,
            )
        return BulkRunPage(data, run)

    async def find(bulk: BulkAction, params: MultiDict[str]) -> tuple[Query, BulkTarget]:
        with map_query_errors():
            query = Query.parse(params)
        _require_filter(query)
        await jobs.freshen()
        return query, await find_target(data, bulk, query.job_filter)

    @get("/bulk/{action:str}")
    async def ask(request: AnyRequest, action: FromPath[str]) -> Response[str]:
        if not guards.is_operator(request):
            raise PermissionDeniedException("Only an operator may do this.")
        bulk = _parse_action(action)
        query, target = await find(bulk, request.query_params)
        return await respond.render(request, BulkQuestion(data, bulk, query, target), "")

    @post("/bulk/{action:str}")
    async def start(request: AnyRequest, action: FromPath[str]) -> Redirect:
        bulk = _parse_action(action)
        sent = await request.form()
        params = MultiDict([(name, str(value)) for name, value in sent.multi_items()])
        query, target = await find(bulk, params)
        confirmed = parse_whole_number(str(sent.get("count", "")))
        if confirmed is None or len(target.job_ids) > confirmed:
            raise HTTPException(
                f"{len(target.job_ids)} jobs match now, which are more than you confirmed. Nothing "
                "was changed. Go back to the list, and start again.",
                status_code=409,
            )
        try:
            run = runs.start(bulk, target.job_ids)
        except BulkBusyError:
            raise HTTPException(
                "Another bulk run is in progress on this facade. Nothing was changed. Try again "
                "when it has ended.",
                status_code=409,
            ) from None
        by = guards.signature(request)
        log.info("bulk %s of %d jobs by %s: %s", bulk, len(run.job_ids), by, query.filters)
        return Redirect(f"{_RUNS}/{run.run_id}", status_code=303)

    @get("/bulk-runs/{run_id:str}")
    async def show_run(request: AnyRequest, run_id: FromPath[str]) -> Response[str]:
        page = run_page(run_id)
        return await respond.render(request, page, f"{_RUNS}/{run_id}/live")

    @get("/bulk-runs/{run_id:str}/live")
    async def watch_run(request: AnyRequest, run_id: FromPath[str]) -> ServerSentEvent:
        return respond.stream(request, run_page(run_id))

    @post("/bulk-runs/{run_id:str}/stop")
    async def stop_run(request: AnyRequest, run_id: FromPath[str]) -> Redirect:
        run = run_page(run_id).run
        run.stopped = True
        log.info("bulk %s is stopped by %s", run.action, guards.signature(request))
        return Redirect(f"{_RUNS}/{run_id}", status_code=303)

    return [ask, start, show_run, watch_run, stop_run]


def _parse_action(name: str) -> BulkAction:
    try:
        return BulkAction(name)
    except ValueError:
        raise HTTPException("This page does not exist.", status_code=404) from None


def _require_filter(query: Query) -> None:
    if not query.filters:
        raise HTTPException(
            "Filter the list of jobs first. Without a filter this would concern every job.",
            status_code=400,
        )
