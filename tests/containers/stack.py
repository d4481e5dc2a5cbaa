"""compose.yaml: its services in containers, under load and faults."""

import asyncio
import json
import os
import time
import urllib.request
from typing import Any

from tests.containers.docker import FABRIC_JOBS, Compose, run, submit
from tests.containers.load import Load, Request
from tests.support.paths import ROOT

COMPOSE = Compose(ROOT, "fabric-jobs")
EVERYTHING = Compose(ROOT, "fabric-jobs", ("--profile", "*"))
THREE = Compose(ROOT, "fabric-jobs", ("--profile", "three-brokers"))
OBSERVED = Compose(ROOT, "fabric-jobs", ("--profile", "observe"))
JOB = ("Contoso.FinanceAnalytics.Forecast", "calculateForecast")
SERVICES = {"network", "proxy", "kafka", "facade-1", "facade-2", "executor"}


def up() -> str:
    """From nothing to a completed job."""
    EVERYTHING("down", "--volumes")
    COMPOSE("up", "--build", "-d")
    submit(*JOB)
    COMPOSE.await_healthy()
    assert COMPOSE.running().keys() == SERVICES
    return "a job is Completed"


def up_again() -> str:
    """`up -d` when everything is up recreates and restarts nothing."""
    before = COMPOSE.running()
    said = COMPOSE("up", "-d")
    assert "Recreate" not in said, said
    assert COMPOSE.running() == before
    return "the same containers"


def kill_facade_under_load() -> str:
    """Kill -9 of one facade: only what was in flight fails; every accepted job completes."""
    return asyncio.run(_disturb("kill", "facade-1"))


def stop_facade_under_load() -> str:
    """SIGTERM to one facade: nothing fails."""
    return asyncio.run(_disturb("stop", "facade-2"))


async def _disturb(verb: str, service: str) -> str:
    load = Load()
    try:
        async with load.running():
            await asyncio.to_thread(COMPOSE, verb, service)
            disturbed = time.monotonic()
            await load.answered(200)
        failures = load.failures()
        ended = await load.await_end_of_jobs()
    finally:
        await load.close()
    late = [each for each in failures if each.began > disturbed]
    assert late == [], f"failed although it began after the {verb}: {late}"
    assert verb == "kill" or failures == [], failures
    assert ended == {"Completed": len(load.created)}, ended
    COMPOSE.up()
    return _summary(load, failures)


def _summary(load: Load, failures: list[Request]) -> str:
    requests = f"{len(load.requests)} requests, {len(failures)} failed"
    return f"{requests}; {len(load.created)} jobs, all Completed"


def kill_proxy() -> str:
    """Kill -9 of the proxy: the others go on, and it is enough to start the proxy again."""
    before = COMPOSE.running()
    COMPOSE("kill", "proxy")
    COMPOSE.up()
    submit(*JOB)
    after = COMPOSE.running()
    assert before.pop("proxy") != after.pop("proxy")
    assert before == after
    return "a job is Completed, no other container was started again"


def down_and_up() -> str:
    """The jobs are kept in the volumes."""
    kept = _job_ids()
    COMPOSE("down")
    assert COMPOSE.running() == {}
    COMPOSE.up()
    assert _job_ids() == kept
    submit(*JOB)
    return f"{len(kept)} jobs kept"


def restart() -> str:
    """`docker compose restart`: every program ends by itself, and a job completes afterwards."""
    kept = _job_ids()
    since = str(int(time.time()))
    began = time.monotonic()
    COMPOSE("restart")
    took = time.monotonic() - began
    form = '{{index .Actor.Attributes "com.docker.compose.service"}}={{.Actor.Attributes.exitCode}}'
    filters = ("--since", since, "--until", str(int(time.time()) + 1), "--filter", "event=die")
    ends = dict(
        line.split("=") for line in run("docker", "events", *filters, "--format", form).splitlines()
    )
    assert ends.keys() == SERVICES | {"check"} or ends.keys() == SERVICES, ends
    assert "137" not in ends.values(), f"killed after its grace: {ends}"
    COMPOSE.await_healthy()
    assert _job_ids() == kept
    submit(*JOB)
    return f"took {took:.0f} s; exit codes {ends}"


def remove() -> str:
    """`down --volumes` with every profile leaves nothing."""
    EVERYTHING("down", "--volumes")
    label = ("--filter", "label=com.docker.compose.project=fabric-jobs", "-q")
    assert run("docker", "ps", "-a", *label) == ""
    assert run("docker", "volume", "ls", *label) == ""
    return "no container and no volume is left"


def kill_broker_of_three() -> str:
    """Kill -9 of one broker of three under load: every accepted job completes."""
    os.environ["KAFKA_REPLICAS"] = "3"
    THREE.up()
    return asyncio.run(_kill_broker())


async def _kill_broker() -> str:
    load = Load()
    try:
        async with load.running():
            await asyncio.to_thread(THREE, "kill", "kafka-2")
            await load.answered(400)
        failures = load.failures()
        ended = await load.await_end_of_jobs()
    finally:
        await load.close()
    # A create is 503 while its partition has no leader, and Fabric repeats it.
    assert {(each.verb, each.status) for each in failures} <= {("POST", 503)}, failures
    assert ended == {"Completed": len(load.created)}, ended
    return _summary(load, failures)


def observe() -> str:
    """Prometheus scrapes every program and loads the rules; spans reach port 4318."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:4318"
    OBSERVED.up()
    submit(*JOB)
    deadline = time.monotonic() + 60
    while (targets := _targets()) != ["up"] * 3:
        assert time.monotonic() < deadline, targets
        time.sleep(0.5)
    while "took /v1/traces" not in (spans := OBSERVED("logs", "jaeger")):
        assert time.monotonic() < deadline, spans
        time.sleep(0.5)
    groups = _prometheus("rules")["groups"]
    health = {rule["health"] for group in groups for rule in group["rules"]}
    assert health <= {"ok", "unknown"}, groups
    return f"3 targets up, {sum(len(group['rules']) for group in groups)} rules, spans arrive"


def _targets() -> list[str]:
    try:
        return [target["health"] for target in _prometheus("targets")["activeTargets"]]
    except OSError:
        return []


def _prometheus(what: str) -> dict[str, list[dict[str, Any]]]:
    with urllib.request.urlopen(f"http://127.0.0.1:5090/api/v1/{what}", timeout=5) as answer:
        data: dict[str, list[dict[str, Any]]] = json.load(answer)["data"]
    return data


def _job_ids() -> set[str]:
    return set(run(FABRIC_JOBS, "jobs", "list", "--ids").split())
