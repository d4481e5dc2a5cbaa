"""Telemetry for operators: traces at a collector, metrics, log lines and probes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from fabric_jobs.executor.metrics import REGISTRY as EXECUTOR
from fabric_jobs.facade.metrics import REGISTRY as FACADE
from fabric_jobs.runtime.telemetry.metrics import Metric
from tests.support.apache_kafka import reserve_port
from tests.support.collector import Collector, Seen, run_collector, tree
from tests.support.paths import ROOT
from tests.support.programs import Fabric, Program, facade, new_id, program

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = ROOT / "docs/observe.md"
HANDLERS = "tests.support.observed_handlers:executor"
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
#: The ids that Fabric sends with a request.
IDS = {
    "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
    "ActivityId": "the activity",
    "RequestId": "the request",
}


class Observed(Struct, frozen=True):
    """Both programs, with their telemetry."""

    facade: Program
    collector: Collector
    #: The base URLs of metrics and probes.
    facade_url: str
    executor_url: str
    #: The executor's log file.
    log: Path


@asynccontextmanager
async def executor(replica: Program, log: Path, **environment: str) -> AsyncIterator[Program]:
    """Run an executor that logs to a file."""
    command = (sys.executable, "-m", "fabric_jobs.executor", HANDLERS)
    settings = {"FABRIC_JOBS_FACADES": replica.ready["grpc"]} | environment
    with log.open("wb") as stderr:
        async with program(*command, environment=settings, stderr=stderr) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Observed]:
    """A facade and an executor with all telemetry, after a job that completed by a retry."""
    log = tmp_path_factory.mktemp("log") / "executor"
    with run_collector() as collector, reserve_port() as reserved:
        settings = environment | collector.environment | {"FABRIC_JOBS_LOG_FORMAT": "json"}
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        async with (
            facade(**settings, OTEL_SERVICE_NAME="facade") as replica,
            executor(
                replica,
                log,
                **settings,
                OTEL_SERVICE_NAME="executor",
                FABRIC_JOBS_METRICS_ADDRESS=address,
            ),
            Fabric(replica, "retry-once", headers=IDS) as fabric,
        ):
            job_id = new_id()
            await fabric.create(job_id)
            await fabric.until(job_id, "Completed")
            url = replica.ready["http"].removesuffix("/workload")
            yield Observed(replica, collector, url, f"http://{address}", log)


async def test_job_with_a_retry_makes_one_trace(observed: Observed) -> None:
    """The trace leads from Fabric's request to the last report, as docs/observe.md shows."""

    def of_the_job() -> list[Seen]:
        """The spans of the job's trace, without those of polls."""
        return [
            seen
            for seen in observed.collector.spans
            if seen.span.trace_id.hex() == TRACE_ID and not seen.span.name.startswith("GET ")
        ]

    await observed.collector.until(lambda: len(of_the_job()) >= 21)
    seen = "\n".join(tree(of_the_job(), bytes.fromhex(SPAN_ID)))

    assert f"```\n{seen}\n```" in PAGE.read_text()


async def test_span_of_a_retry_links_to_the_claim_of_the_previous_attempt(
    observed: Observed,
) -> None:
    """Each run's span has the job, the attempt and the outcome."""

    def named(name: str) -> list[Seen]:
        found = [seen for seen in observed.collector.spans if seen.span.name == name]
        return sorted(found, key=lambda one: one.span.start_time_unix_nano)

    await observed.collector.until(lambda: len(named("run retry-once")) == 2)
    first, second = named("run retry-once")
    claims = {one.span.span_id: one.span.parent_span_id for one in named("claim")}
    said = [
        (one.attributes["fabric_jobs.attempt"], one.attributes["fabric_jobs.outcome"])
        for one in (first, second)
    ]

    assert said == [(1, "failed"), (2, "completed")]
    assert not first.span.links
    assert [claims[link.span_id] for link in second.span.links] == [first.span.span_id]


async def test_pushed_metrics_have_the_names_of_the_scraped_ones(
    observed: Observed,
) -> None:
    """Both programs push to the same collector."""
    wanted = {("facade", "fabric_jobs_ready"), ("executor", "fabric_jobs_executor_slots")}

    await observed.collector.until(lambda: wanted <= observed.collector.metrics)


async def scraped(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of our metrics at a URL, by name and labels."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name.startswith("fabric_jobs_") and "le" not in sample.labels:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_facade_metrics_count_a_job(observed: Observed) -> None:
    """They count the create by outcome, the events, the retry and the times; gauges follow."""
    create = ("Jobs_CreateItemJobInstance", "202")
    async with asyncio.timeout(30):
        while (found := await scraped(observed.facade_url))["fabric_jobs_executors"] != {(): 1}:
            await asyncio.sleep(0.2)

    assert found["fabric_jobs_request_seconds_count"][create] == 1
    assert found["fabric_jobs_append_seconds_count"][()] == 6
    assert found["fabric_jobs_events_total"]["retry-once", "fabric.jobs.started"] == 2
    assert found["fabric_jobs_events_total"]["retry-once", "fabric.jobs.completed"] == 1
    assert found["fabric_jobs_redispatches_total"]["RetryDue",] == 1
    assert found["fabric_jobs_start_seconds_count"]["retry-once",] == 1
    assert found["fabric_jobs_run_seconds_count"]["retry-once", "fabric.jobs.attempt-failed"] == 1
    assert found["fabric_jobs_records_total"]["forked",] == 0
    assert found["fabric_jobs_leases_lost_total"] == {(): 0}
    assert found["fabric_jobs_fold_lag_seconds"][()] < 30
    assert found["fabric_jobs_ready"] == {(): 1}


async def test_executor_metrics_count_its_runs(
    observed: Observed,
) -> None:
    """The executor serves its metrics on its own port."""
    found = await scraped(observed.executor_url)

    assert found["fabric_jobs_executor_claims_total"]["granted", "retry-once"] == 2
    assert found["fabric_jobs_executor_handler_seconds_count"]["retry-once", "failed"] == 1
    assert found["fabric_jobs_executor_handler_seconds_count"]["retry-once", "completed"] == 1
    assert found["fabric_jobs_executor_slots"] == {(): 10}
    assert found["fabric_jobs_executor_connected"] == {(): 1}


async def test_scraped_metrics_have_the_declared_labels(
    observed: Observed,
) -> None:
    """No metric with our prefix is undeclared."""
    declared: dict[str, Metric] = {
        metric.name: metric for registry in (FACADE, EXECUTOR) for metric in registry.metrics
    }
    async with httpx.AsyncClient() as client:
        pages = [
            (await client.get(f"{url}/metrics")).text
            for url in (observed.facade_url, observed.executor_url)
        ]
    families = [
        family
        for page in pages
        for family in text_string_to_metric_families(page)
        if family.name.startswith("fabric_jobs_")
    ]

    assert families
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert family.documentation == declared[name].description
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(declared[name].labels), name


async def test_json_log_lines_have_the_ids_of_their_subject(
    observed: Observed,
) -> None:
    """They have the ids of Fabric, job, attempt and trace, also in a handler's own lines."""
    lines = [json.loads(line) for line in observed.log.read_text().splitlines()]
    own = [line for line in lines if line["logger"] == "observed_handlers"]
    failed = next(line for line in lines if "exception" in line)

    assert [line["attempt"] for line in own] == ["1", "2"]
    for line in [*own, failed]:
        assert (line["ActivityId"], line["RequestId"]) == ("the activity", "the request")
        assert line["trace_id"] == TRACE_ID
        assert len(line["span_id"]) == 16
        assert line["job"]
    assert [(line["message"], line["rows"]) for line in own] == [("working", 5)] * 2
    assert "the first attempt" in failed["exception"]


@pytest.mark.parametrize("probe", ["livez", "readyz"])
async def test_probe_of_a_healthy_facade_answers_200_without_reasons(
    observed: Observed, probe: str
) -> None:
    """The answer has status 200 and lists no reason."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{observed.facade_url}/{probe}")

    assert (answer.status_code, answer.json()) == (200, {"ok": True, "reasons": []})


async def test_probe_of_a_healthy_executor_answers_200_without_reasons(observed: Observed) -> None:
    """The answer has status 200 and lists no reason."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{observed.executor_url}/livez")

    assert (answer.status_code, answer.json()) == (200, {"ok": True, "reasons": []})
