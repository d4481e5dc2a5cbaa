"""The routes of the pages, of their streams, and of what operators change."""

import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import timedelta

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect, ServerSentEvent

from fabric_jobs.contract.controls import MAX_REASON_CHARS
from fabric_jobs.contract.guids import retry_id
from fabric_jobs.contract.heartbeats import JobKind
from fabric_jobs.contract.scalars import MAX_NAME_CHARS
from fabric_jobs.contract.topics import canonical_job_id
from fabric_jobs.facade.controls import InvalidJobTypeError, JobTypeState, UnknownJobTypeError
from fabric_jobs.facade.jobs.errors import RefusedError
from fabric_jobs.facade.jobs.jobs import Jobs
from fabric_jobs.facade.jobs.retries import retry_job
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.monitor.ended_page import EndedCounter, EndedPage, Period
from fabric_jobs.facade.monitor.executor_page import ExecutorPage
from fabric_jobs.facade.monitor.guards import Guards
from fabric_jobs.facade.monitor.job_list import InvalidJobsPage, JobsPage
from fabric_jobs.facade.monitor.job_page import JobPage
from fabric_jobs.facade.monitor.pages import ExecutorsPage, JobTypesPage, MonitorData
from fabric_jobs.facade.monitor.query import Query, QueryError, encode_query, typed_values
from fabric_jobs.facade.monitor.render import PATH
from fabric_jobs.facade.monitor.responder import AnyRequest, Responder, map_query_errors
from fabric_jobs.facade.monitor.timeline import HistoryReader
from fabric_jobs.runtime.telemetry.logs import bind_ids

log = logging.getLogger("fabric_jobs.monitor")


def page_routes(
    jobs: Jobs,
    data: MonitorData,
    ended: EndedCounter,
    history: HistoryReader,
    respond: Responder,
    guards: Guards,
) -> list[HTTPRouteHandler]:
    """Returns the handlers of all pages, streams and actions."""

    async def job_page(request: AnyRequest, job_id: str) -> JobPage:
        stored = await jobs.read(_parse_job_id(job_id))
        if stored is None:
            raise HTTPException(
                "No such job is known. It never existed, or it is older than "
                f"{data.replica.lifetime.retention / timedelta(days=1):g} days.",
                status_code=404,
            )
        return JobPage(data, history, stored, operator=guards.is_operator(request))

    def executors_page(request: AnyRequest) -> ExecutorsPage:
        with map_query_errors():
            return ExecutorsPage(data, _sort_of(request))

    def job_types_page(request: AnyRequest) -> JobTypesPage:
        with map_query_errors():
            operator = guards.is_operator(request)
            return JobTypesPage(data, _sort_of(request), operator=operator)

    async def change_job_type(change: Awaitable[JobTypeState]) -> Redirect:
        try:
            await change
        except InvalidJobTypeError as error:
            raise HTTPException(str(error), status_code=400) from None
        except UnknownJobTypeError as error:
            raise HTTPException(str(error), status_code=404) from None
        return Redirect(f"{PATH}/job-types", status_code=303)

    @get("/")
    async def show_jobs(request: AnyRequest) -> Response[str]:
        try:
            query = Query.parse(request.query_params)
        except QueryError as error:
            typed = typed_values(request.query_params)
            return await respond.render(request, InvalidJobsPage(data, typed, str(error)), "", 400)
        await jobs.freshen()
        live_url = f"{PATH}/live{query.url_query(query.before)}"
        return await respond.render(request, JobsPage(data, query), live_url)

    @get("/live")
    async def watch_jobs(request: AnyRequest) -> ServerSentEvent:
        with map_query_errors():
            return respond.stream(request, JobsPage(data, Query.parse(request.query_params)))

    @get("/executors")
    async def show_executors(request: AnyRequest) -> Response[str]:
        live_url = f"{PATH}/executors/live{_sort_query(request)}"
        return await respond.render(request, executors_page(request), live_url)

    @get("/executors/live")
    async def watch_executors(request: AnyRequest) -> ServerSentEvent:
        return respond.stream(request, executors_page(request))

    def executor_page(request: AnyRequest) -> ExecutorPage:
        return ExecutorPage(data, request.query_params.get("id", ""))

    @get("/executor")
    async def show_executor(request: AnyRequest) -> Response[str]:
        page = executor_page(request)
        live_url = f"{PATH}/executor/live{encode_query([('id', page.executor_id)])}"
        return await respond.render(request, page, live_url)

    @get("/executor/live")
    async def watch_executor(request: AnyRequest) -> ServerSentEvent:
        return respond.stream(request, executor_page(request))

    def ended_page(request: AnyRequest) -> EndedPage:
        label = request.query_params.get("period", Period.HOUR.label)
        period = next((one for one in Period if one.label == label), None)
        if period is None:
            raise HTTPException(
                f"period must be one of {', '.join(one.label for one in Period)}.", status_code=400
            )
        with map_query_errors():
            return EndedPage(data, ended, period, _sort_of(request))

    @get("/ended")
    async def show_ended(request: AnyRequest) -> Response[str]:
        page = ended_page(request)
        pairs = [("period", page.period.label), ("sort", _sort_of(request))]
        live_url = f"{PATH}/ended/live{encode_query([pair for pair in pairs if pair[1]])}"
        return await respond.render(request, page, live_url)

    @get("/ended/live")
    async def watch_ended(request: AnyRequest) -> ServerSentEvent:
        return respond.stream(request, ended_page(request))

    @get("/job-types")
    async def show_job_types(request: AnyRequest) -> Response[str]:
        live_url = f"{PATH}/job-types/live{_sort_query(request)}"
        return await respond.render(request, job_types_page(request), live_url)

    @get("/job-types/live")
    async def watch_job_types(request: AnyRequest) -> ServerSentEvent:
        return respond.stream(request, job_types_page(request))

    @post("/job-types/pause")
    async def pause_job_type(request: AnyRequest) -> Redirect:
        sent = await request.form()
        kind, reason = _kind_of(sent), str(sent.get("reason", "")).strip()
        if not 0 < len(reason) <= MAX_REASON_CHARS:
            message = f"A reason of 1 to {MAX_REASON_CHARS} characters is required."
            raise HTTPException(message, status_code=400)
        return await change_job_type(data.job_types.pause(kind, reason, guards.signature(request)))

    @post("/job-types/resume")
    async def resume_job_type(request: AnyRequest) -> Redirect:
        kind = _kind_of(await request.form())
        return await change_job_type(data.job_types.resume(kind, guards.signature(request)))

    @get("/find")
    async def find_job(request: AnyRequest) -> Redirect:
        typed = request.query_params.get("id", "").strip()
        with suppress(ValueError):
            return Redirect(f"{PATH}/jobs/{canonical_job_id(typed)}", status_code=303)
        with suppress(QueryError):
            which = Query.parse(MultiDict({"id": typed})).job_filter
            await jobs.freshen()
            found = await data.replica.list(which, 2) if typed else []
            if len(found) == 1:
                return Redirect(f"{PATH}/jobs/{found[0].job.job_id}", status_code=303)
        # The list shows the jobs, or what is wrong with the text.
        return Redirect(f"{PATH}{encode_query([('id', typed)] if typed else [])}", status_code=303)

    @get("/jobs/{job_id:str}")
    async def show_job(request: AnyRequest, job_id: FromPath[str]) -> Response[str]:
        page = await job_page(request, job_id)
        return await respond.render(request, page, f"{PATH}/jobs/{page.job.job_id}/live")

    @get("/jobs/{job_id:str}/events")
    async def show_events(request: AnyRequest, job_id: FromPath[str]) -> Response[str]:
        page = await job_page(request, job_id)
        await page.read_history()
        return await respond.render(request, page, f"{PATH}/jobs/{page.job.job_id}/live")

    @get("/jobs/{job_id:str}/live")
    async def watch_job(request: AnyRequest, job_id: FromPath[str]) -> ServerSentEvent:
        return respond.stream(request, await job_page(request, job_id))

    @post("/jobs/{job_id:str}/cancel")
    async def cancel_job(request: AnyRequest, job_id: FromPath[str]) -> Redirect:
        command = RequestCancel(job_id=_parse_job_id(job_id))
        try:
            with bind_ids(job=command.job_id):
                stored = await jobs.execute(command)
                by, phase = guards.signature(request), stored.job.state.phase
                log.info("cancel by %s: the job is %s", by, phase)
        except RefusedError:
            raise HTTPException("No such job is known.", status_code=404) from None
        return Redirect(f"{PATH}/jobs/{command.job_id}", status_code=303)

    @post("/jobs/{job_id:str}/retry")
    async def retry(request: AnyRequest, job_id: FromPath[str]) -> Redirect:
        old_id = _parse_job_id(job_id)
        try:
            with bind_ids(job=old_id):
                # The same new id each time, so a second click does not start the job twice.
                stored = await retry_job(jobs, old_id, retry_id(old_id))
                by, new_id = guards.signature(request), stored.job.job_id
                log.info("retry by %s: the new job is %s", by, new_id)
        except RefusedError as error:
            raise HTTPException(f"The job was not retried: {error}.", status_code=409) from None
        return Redirect(f"{PATH}/jobs/{stored.job.job_id}", status_code=303)

    return [
        show_jobs,
        watch_jobs,
        show_executors,
        watch_executors,
        show_executor,
        watch_executor,
        show_job_types,
        watch_job_types,
        show_ended,
        watch_ended,
        pause_job_type,
        resume_job_type,
        find_job,
        show_job,
        show_events,
        watch_job,
        cancel_job,
        retry,
    ]


def _sort_of(request: AnyRequest) -> str:
    return request.query_params.get("sort", "")


def _sort_query(request: AnyRequest) -> str:
    sort = _sort_of(request)
    return encode_query([("sort", sort)] if sort else [])


def _parse_job_id(job_id: str) -> str:
    try:
        return canonical_job_id(job_id)
    except ValueError:
        raise HTTPException(
            f"{job_id[:MAX_NAME_CHARS]!r} is not a job id: a job id is a GUID.", status_code=400
        ) from None


def _kind_of(form: Mapping[str, object]) -> JobKind:
    return JobKind(str(form.get("item_type", "")), str(form.get("job_type", "")))
