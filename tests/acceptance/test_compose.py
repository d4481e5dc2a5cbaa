"""compose.yaml and Dockerfile, as far as they can be tried without a container engine."""

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
from tests.support.compose import SERVICES, Stack, built, why_unavailable
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
PROXY = (ROOT / "deploy" / "haproxy.cfg").read_text()


@pytest.mark.parametrize(("name", "settings"), SETTINGS.items())
def test_compose_names_the_settings_defaults(name: str, settings: type[Struct]) -> None:
    """Every variable is a setting, and has its default but where it must not."""
    defaults = {each.name: value_types.write(each.default) for each in variables(settings)}
    environment = SERVICES[name]["environment"]
    ours = {key: value for key, value in environment.items() if not key.startswith("OTEL_")}
    same = {key: value for key, value in ours.items() if key not in DIFFERENT}

    assert ours.keys() <= defaults.keys()
    assert same == {key: defaults[key] for key in same}


def test_what_is_published_is_where_the_settings_look_and_on_loopback_alone() -> None:
    """The proxy and Kafka take the places of the defaults."""
    published = SERVICES["proxy"]["ports"]
    defaults = FacadeSettings()

    for address in (defaults.http_address, defaults.grpc_address, defaults.kafka_bootstrap_servers):
        assert f"{address}:{address.rpartition(':')[2]}" in published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["proxy"]


def test_the_proxy_knows_the_facades() -> None:
    """Both ports of each, which is asked by HTTP whether it is ready."""
    for name in ("facade-1", "facade-2"):
        environment = SERVICES[name]["environment"]
        http, grpc = (environment[f"FABRIC_JOBS_{kind}_ADDRESS"] for kind in ("HTTP", "GRPC"))

        assert f"server {name} {http}\n" in PROXY
        assert f"server {name} {grpc} port {http.rpartition(':')[2]}\n" in PROXY
        assert http in SERVICES[name]["healthcheck"]["test"]


def test_the_proxy_notices_a_stopping_facade_while_that_answers_on() -> None:
    """Two failed checks take less than the settings' default."""
    (seconds, fall), *_ = re.findall(r"check inter (\d+)s fall (\d+)", PROXY)

    assert int(seconds) * int(fall) < FacadeSettings().unready_s


def test_containers_have_the_time_to_drain() -> None:
    """A killed one would be a failure that nobody needs."""
    assert SERVICES["facade-1"]["stop_grace_period"] == "1m"
    assert SERVICES["executor"]["stop_grace_period"] == "1m"
    assert FacadeSettings().unready_s + 20 < 60
    assert ExecutorSettings().drain_s + 20 < 60


def test_a_profile_is_left_out_at_will() -> None:
    """What has none needs nothing that has one."""
    profiled = {name for name in SERVICES if "profiles" in SERVICES[name]}
    for name in SERVICES.keys() - profiled:
        for other, condition in SERVICES[name].get("depends_on", {}).items():
            assert (other in profiled) == (condition.get("required") is False), f"{name}: {other}"

    assert profiled == {"kafka-2", "kafka-3", "prometheus", "jaeger"}


def test_kafka_is_the_version_that_the_tests_run_on() -> None:
    """What is tested is what is run."""
    brokers = [SERVICES[name]["image"] for name in ("kafka", "kafka-2", "kafka-3")]

    assert set(brokers) == {f"apache/kafka:{apache_kafka.DEFAULT_VERSION}"}


def test_what_is_mounted_and_copied_is_there() -> None:
    """Of the repository; volumes have no path in it."""
    mounted = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounted if mount.startswith("./")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    sources = [source for line in copied for source in line.split()]

    assert files
    assert [name for name in files + sources if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "line", find_commands("docker"), ids=lambda line: f"{line.page}: {line.command}"
)
def test_a_docker_line_of_the_docs_names_what_there_is(line: ShownCommand) -> None:
    """Profiles and services of compose.yaml, the variables that it asks for, and its image."""
    ((_, tool, *words),) = line.parts
    if tool == "build":
        assert words == ["-t", IMAGE, "."]
        return
    profile = words[words.index("--profile") + 1] if "--profile" in words else None
    verb, *named = [word for word in words if not word.startswith("-") and word != profile]
    variables = re.findall(r"(\w+)=\S", line.command)

    assert (tool, verb in ("up", "down", "stop")) == ("compose", True)
    assert profile is None or any(profile in one.get("profiles", ()) for one in SERVICES.values())
    assert set(named) <= SERVICES.keys()
    assert [name for name in variables if f"${{{name}:-" not in COMPOSE] == []


def test_the_image_that_the_docs_build_on_is_compose_s() -> None:
    """Under its one name."""
    page = (ROOT / "docs" / "deploy.md").read_text()

    assert re.findall(r"```dockerfile\nFROM (.*)\n", page) == [IMAGE]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs that the Dockerfile's build makes."""
    if reason := apache_kafka.why_unavailable() or why_unavailable():
        no_apache_kafka(reason)
    return built(tmp_path_factory.mktemp("image"))


@asynccontextmanager
async def fabric(stack: Stack) -> AsyncIterator[Fabric]:
    """Fabric, before the proxy."""
    url = f"http://127.0.0.1:{stack.port(5000)}/workload"
    behind = Program(stack.running["proxy"], {"http": url})
    kind = ("calculateForecast", "Contoso.FinanceAnalytics.Forecast")
    async with Fabric(behind, *kind) as caller:
        yield caller


@pytest.mark.timeout(600)
async def test_the_stack_runs_jobs_while_its_facades_go(image: Path, tmp_path: Path) -> None:
    """From an empty folder to a job's end; Prometheus scrapes every program, and knows the alerts.

    Then one facade is stopped under polls, and the other stays.
    """
    stack = Stack(tmp_path, image)
    async with stack.up(*SETTINGS, "prometheus"), fabric(stack) as caller:
        first, second = new_id(), new_id()
        await caller.create(first, {"priority": "high"})
        await caller.until(first, "Completed")
        await scraped(stack)

        stopping = stack.running["facade-1"]
        stopping.terminate()
        await caller.create(second, {"priority": "high"})
        while stopping.returncode is None:
            assert (await caller.state(second)).status_code == 200
            await asyncio.sleep(0.02)
        state = await caller.until(second, "Completed")

    assert stopping.returncode == 0
    assert state["startTimeUtc"] <= state["endTimeUtc"]


async def scraped(stack: Stack) -> None:
    """Returns once Prometheus has what every program tells it; before the proxy nobody is told."""
    api = f"http://127.0.0.1:{stack.port(5090)}/api/v1"
    async with httpx.AsyncClient() as client:

        async def targets() -> list[str]:
            found = (await client.get(f"{api}/targets")).json()["data"]["activeTargets"]
            return [target["health"] for target in found]

        async with asyncio.timeout(60):
            while await targets() != ["up"] * 3:
                await asyncio.sleep(0.1)
        rules = (await client.get(f"{api}/rules")).json()["data"]["groups"][0]["rules"]
        proxy = f"http://127.0.0.1:{stack.port(5000)}"
        paths = ("/metrics", "/%6Detrics", "/monitor", "/monitor/live")
        outside = [await client.get(proxy + path) for path in paths]

    assert "FabricJobsForked" in [rule["name"] for rule in rules]
    assert [rule["health"] for rule in rules if rule["health"] not in ("ok", "unknown")] == []
    # The proxy's own answers, not a facade's.
    assert [(one.status_code, "errorCode" in one.text) for one in outside] == [(404, False)] * 4


@pytest.mark.timeout(600)
async def test_three_brokers_make_three_replicas(image: Path, tmp_path: Path) -> None:
    """Of our topics, and of Kafka's own."""
    stack = Stack(tmp_path, image, KAFKA_REPLICAS="3")
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
