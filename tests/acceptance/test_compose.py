"""compose.yaml, as far as it can be tried without a container engine."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

from fabric_jobs.contract.topics import EVENTS_TOPIC
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import value_types, variables
from tests.support import apache_kafka
from tests.support.compose import SERVICES, Stack, why_unavailable
from tests.support.pages import ShownCommand, find_commands
from tests.support.paths import ROOT
from tests.support.programs import Fabric, Program, new_id
from tests.support.requirements import no_apache_kafka

SETTINGS: dict[str, type[Struct]] = {
    "check": FacadeSettings,
    "facade-1": FacadeSettings,
    "facade-2": FacadeSettings,
    "executor": ExecutorSettings,
}
#: Settings that differ from the defaults on purpose.
DIFFERENT = {
    "FABRIC_JOBS_AUTHENTICATION",
    "FABRIC_JOBS_HTTP_ADDRESS",
    "FABRIC_JOBS_GRPC_ADDRESS",
    "FABRIC_JOBS_METRICS_ADDRESS",
    "FABRIC_JOBS_STATE_DIR",
}
COMPOSE = (ROOT / "compose.yaml").read_text()
(IMAGE,) = {one["image"] for one in SERVICES.values() if "build" in one}
IGNORED = (ROOT / ".dockerignore").read_text()
PROXY = (ROOT / "deploy" / "haproxy.cfg").read_text()


@pytest.mark.parametrize(("name", "settings"), SETTINGS.items())
def test_compose_variables_are_settings_with_their_defaults(
    name: str, settings: type[Struct]
) -> None:
    """Only the settings in `DIFFERENT` have another value than their default."""
    defaults = {each.name: value_types.write(each.default) for each in variables(settings)}
    environment = SERVICES[name]["environment"]
    ours = {key: value for key, value in environment.items() if not key.startswith("OTEL_")}
    same = {key: value for key, value in ours.items() if key not in DIFFERENT}

    assert ours.keys() <= defaults.keys()
    assert same == {key: defaults[key] for key in same}


def test_published_ports_are_the_defaults_on_loopback() -> None:
    """The proxy and Kafka are where the default settings look, and on loopback alone."""
    published = SERVICES["network"]["ports"]
    defaults = FacadeSettings()

    for address in (defaults.http_address, defaults.grpc_address, defaults.kafka_bootstrap_servers):
        assert f"{address}:{address.rpartition(':')[2]}" in published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["network"]


def test_one_service_builds_the_image() -> None:
    """With a second `build`, `up` without `--build` would recreate every program."""
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["check"]
    assert {one["pull_policy"] for one in SERVICES.values() if one["image"] == IMAGE} == {
        "missing",
        "never",
    }


def test_every_service_joins_the_network_of_one_that_does_nothing() -> None:
    """Each of the others can then be killed and started again alone."""
    joined = {name: one["network_mode"] for name, one in SERVICES.items() if name != "network"}

    assert set(joined.values()) == {"service:network"}
    assert SERVICES["network"]["entrypoint"] == ["sleep", "infinity"]


def test_proxy_lists_both_ports_of_each_facade() -> None:
    """HAProxy asks each facade by HTTP whether it is ready."""
    for name in ("facade-1", "facade-2"):
        environment = SERVICES[name]["environment"]
        http, grpc = (environment[f"FABRIC_JOBS_{kind}_ADDRESS"] for kind in ("HTTP", "GRPC"))

        assert f"server {name} {http}\n" in PROXY
        assert f"server {name} {grpc} track http/{name}\n" in PROXY
        assert http in SERVICES[name]["healthcheck"]["test"]


def test_proxy_removes_a_stopping_facade_while_it_still_answers() -> None:
    """Two failed health checks take less time than the default of `FABRIC_JOBS_UNREADY_S`."""
    (seconds, fall), *_ = re.findall(r"check inter (\d+)s fall (\d+)", PROXY)

    assert int(seconds) * int(fall) < FacadeSettings().unready_s


def test_stop_grace_period_is_longer_than_the_drain() -> None:
    """The engine kills a container that outlasts its grace period."""
    assert SERVICES["facade-1"]["stop_grace_period"] == "1m"
    assert SERVICES["executor"]["stop_grace_period"] == "1m"
    assert FacadeSettings().unready_s + 20 < 60
    assert ExecutorSettings().drain_s + 20 < 60


def test_service_without_profile_requires_no_service_with_one() -> None:
    """Profiles are optional, so nothing outside a profile depends on a service inside one."""
    profiled = {name for name in SERVICES if "profiles" in SERVICES[name]}
    for name in SERVICES.keys() - profiled:
        for other, condition in SERVICES[name].get("depends_on", {}).items():
            assert (other in profiled) == (condition.get("required") is False), f"{name}: {other}"

    assert profiled == {"kafka-2", "kafka-3", "prometheus", "jaeger"}


def test_kafka_image_has_the_version_that_the_tests_run_on() -> None:
    """All brokers of compose.yaml have the tests' default version."""
    brokers = [SERVICES[name]["image"] for name in ("kafka", "kafka-2", "kafka-3")]

    assert set(brokers) == {f"apache/kafka:{apache_kafka.DEFAULT_VERSION}"}


def test_files_mounted_and_copied_exist() -> None:
    """Paths that compose.yaml mounts and the Dockerfile copies are in the repository."""
    mounted = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounted if mount.startswith("./")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    sources = [source for line in copied for source in line.split()]

    assert files
    assert [name for name in files + sources if not (ROOT / name).exists()] == []
    assert {f"!{name}" for name in sources} == set(re.findall(r"^!.*", IGNORED, re.M))


@pytest.mark.parametrize(
    "line", find_commands("docker"), ids=lambda line: f"{line.page}: {line.command}"
)
def test_docker_command_of_the_docs_names_existing_services(line: ShownCommand) -> None:
    """Profiles, services, variables and the image of the command are in compose.yaml."""
    ((_, tool, *words),) = line.parts
    if tool == "build":
        assert words == ["-t", IMAGE, "."]
        return
    profile = words[words.index("--profile") + 1] if "--profile" in words else None
    verb, *named = [word for word in words if not word.startswith("-") and word != profile]
    variables = re.findall(r"(\w+)=\S", line.command)

    assert (tool, verb in ("up", "down", "stop")) == ("compose", True)
    assert profile in (None, "*") or any(
        profile in one.get("profiles", ()) for one in SERVICES.values()
    )
    assert set(named) <= SERVICES.keys()
    assert [name for name in variables if f"${{{name}:-" not in COMPOSE] == []


def test_image_in_the_docs_has_the_name_of_compose() -> None:
    """The Dockerfile in docs/deploy.md builds on compose's image."""
    page = (ROOT / "docs" / "deploy.md").read_text()

    assert set(re.findall(r"```dockerfile\nFROM (.*)\n", page)) == {IMAGE}


@pytest.fixture
def kafka_jars() -> None:
    """Skips where the services of compose.yaml can't run as processes."""
    if reason := apache_kafka.why_unavailable() or why_unavailable():
        no_apache_kafka(reason)


@asynccontextmanager
async def fabric(stack: Stack) -> AsyncIterator[Fabric]:
    """A client that calls the facades through the proxy, as Fabric does."""
    url = f"http://127.0.0.1:{stack.port(5000)}/workload"
    behind = Program(stack.running["proxy"], {"http": url})
    kind = ("calculateForecast", "Contoso.FinanceAnalytics.Forecast")
    async with Fabric(behind, *kind) as caller:
        yield caller


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("kafka_jars")
async def test_compose_stack_runs_jobs_while_one_facade_stops(tmp_path: Path) -> None:
    """A stack in an empty folder completes a job, and Prometheus scrapes every program.

    Then one facade is stopped while a job is polled, and the other facade answers each poll.
    """
    stack = Stack(tmp_path)
    async with stack.up(*SETTINGS, "prometheus"), fabric(stack) as caller:
        first, second = new_id(), new_id()
        await caller.create(first, {"priority": "high"})
        await caller.until(first, "Completed")
        await await_scrapes(stack)

        stopping = stack.running["facade-1"]
        stopping.terminate()
        await caller.create(second, {"priority": "high"})
        while stopping.returncode is None:
            assert (await caller.state(second)).status_code == 200
            await asyncio.sleep(0.02)
        state = await caller.until(second, "Completed")

    assert stopping.returncode == 0
    assert state["startTimeUtc"] <= state["endTimeUtc"]


async def await_scrapes(stack: Stack) -> None:
    """Wait until Prometheus scrapes every program."""
    api = f"http://127.0.0.1:{stack.port(5090)}/api/v1"
    async with httpx.AsyncClient() as client:

        async def targets() -> list[str]:
            found = (await client.get(f"{api}/targets")).json()["data"]["activeTargets"]
            return [target["health"] for target in found]

        async with asyncio.timeout(60):
            while await targets() != ["up"] * 3:
                await asyncio.sleep(0.1)
        groups = (await client.get(f"{api}/rules")).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert {"FabricJobsForked", "FabricJobsCreatesBurnFast"} <= {rule["name"] for rule in rules}
    assert [rule["health"] for rule in rules if rule["health"] not in ("ok", "unknown")] == []


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("kafka_jars")
async def test_profile_with_three_brokers_replicates_topics_three_times(tmp_path: Path) -> None:
    """Our topics and Kafka's own topic of offsets have three replicas of each partition."""
    stack = Stack(tmp_path, KAFKA_REPLICAS="3")
    async with stack.up("kafka", "kafka-2", "kafka-3", "check"):
        assert await stack.running["check"].wait() == 0
        kafka = f"127.0.0.1:{stack.port(9092)}"
        consumer = AIOKafkaConsumer(EVENTS_TOPIC, group_id="any", bootstrap_servers=kafka)
        await consumer.start()  # the first of a group has Kafka make the topic of the offsets
        await consumer.stop()
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        topics = await admin.describe_topics([EVENTS_TOPIC, "__consumer_offsets"])
        await admin.close()

    partitions = [partition for topic in topics for partition in topic["partitions"]]
    assert {len(partition["replicas"]) for partition in partitions} == {3}
    assert len(partitions) > FacadeSettings().events_partitions
