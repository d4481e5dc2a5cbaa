"""compose.yaml and Dockerfile, as far as they can be tried without a container engine."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import fields

from executor.settings import ExecutorSettings
from fabric_jobs.settings import PREFIX
from facade.settings import FacadeSettings
from tests.conftest import Cluster
from tests.programs import Fabric, new_id, program

ROOT = Path(__file__).parents[2]
#: Settings of compose that differ from the defaults on purpose.
DIFFERENT = {
    "FABRIC_JOBS_AUTHENTICATION",
    "FABRIC_JOBS_CREATE_TOPICS",
    "FABRIC_JOBS_STATE_DIR",
}


def service(name: str) -> dict[str, Any]:
    """A service of compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][name]
    return found


def test_compose_names_the_settings_defaults() -> None:
    """Every variable is a setting, and has its default but where it must not."""
    for name, settings in (("facade", FacadeSettings), ("executor", ExecutorSettings)):
        defaults = {PREFIX + field.name.upper(): field.default for field in fields(settings)}
        environment = service(name)["environment"]
        same = {key: value for key, value in environment.items() if key not in DIFFERENT}

        assert set(environment) <= set(defaults)
        assert same == {key: defaults[key] for key in same}


def test_kafka_listens_where_the_settings_look() -> None:
    """The broker's address is the default of the bootstrap servers."""
    listeners = service("kafka")["environment"]["KAFKA_LISTENERS"]

    assert f"PLAINTEXT://{FacadeSettings().kafka_bootstrap_servers}," in listeners


def test_the_image_holds_what_the_commands_need() -> None:
    """Every top-level package is copied, and what is copied exists."""
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}

    assert {"facade", "executor", "cli", "proto/fabric_jobs", "requirements.lock"} <= sources
    assert all((ROOT / source).exists() for source in sources)


async def test_the_services_commands_run_a_job(apache: Cluster, topic: str, tmp_path: Path) -> None:
    """Each of our services' command with its environment, as a process against a real Kafka."""
    replaced = apache.environment(topic) | {
        "FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_GRPC_ADDRESS": "127.0.0.1:0",
        "FABRIC_JOBS_STATE_DIR": str(tmp_path),
        "FABRIC_JOBS_POOL": topic,
    }
    async with program(
        *_command("facade"), environment=service("facade")["environment"] | replaced
    ) as one:
        replaced["FABRIC_JOBS_FACADES"] = one.ready["grpc"]
        environment = service("executor")["environment"] | replaced
        async with (
            program(*_command("executor"), environment=environment),
            Fabric(one, "calculateForecast", "Contoso.FinanceAnalytics.Forecast") as fabric,
        ):
            job_id = new_id()
            await fabric.create(job_id, {"priority": "high"})
            state = await fabric.until(job_id, "Completed")

    assert state["startTimeUtc"] <= state["endTimeUtc"]


def _command(name: str) -> list[str]:
    python, *arguments = shlex.split(service(name)["command"])
    assert python == "python"
    return [sys.executable, *arguments]
