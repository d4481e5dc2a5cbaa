"""The overlays of deploy/kubernetes, as Kustomize renders them."""

import re
from typing import Any

import kubernetes_validate
import pytest
from msgspec import Struct

from deploy.kubernetes import rules
from fabric_jobs.executor import api, probes
from fabric_jobs.executor.dispatch import intake
from fabric_jobs.executor.runs import handler_task, runs
from fabric_jobs.executor.session import session
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.http import server as http_server
from fabric_jobs.facade.metrics import REGISTRY
from fabric_jobs.facade.rpc import server as rpc_server
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import FILE_SUFFIX, from_env, variables
from tests.support.kustomize import render, why_unavailable
from tests.support.pages import command_blocks, find_commands, section
from tests.support.requirements import missing

OVERLAYS = ("laptop", "production")
VERSION = "1.37"
#: Resources of operators, for which Kubernetes publishes no schema.
CUSTOM = {"PrometheusRule", "ScaledObject", "ServiceMonitor"}
PROGRAMS: dict[str, type[Struct]] = {
    "facade": FacadeSettings,
    "check": FacadeSettings,
    "executor": ExecutorSettings,
}


@pytest.fixture(autouse=True)
def kustomize() -> None:
    """Skips where Kustomize cannot be built."""
    if reason := why_unavailable():
        missing("Kustomize", reason)


def resource(overlay: str, kind: str, name: str) -> dict[str, Any]:
    """The resource of this kind and name, without Kustomize's hash."""
    (found,) = (
        each
        for each in render(overlay)
        if each["kind"] == kind
        and re.fullmatch(rf"{name}(-[0-9a-z]{{10}})?", each["metadata"]["name"])
    )
    return found


def pods(overlay: str) -> list[dict[str, Any]]:
    """The pod specifications."""
    found = [each for each in render(overlay) if each["kind"] in ("StatefulSet", "Job")]
    return [each["spec"]["template"]["spec"] for each in found]


def containers(overlay: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Our containers, each with its pod's specification."""
    return [
        (pod, container)
        for pod in pods(overlay)
        for container in [*pod.get("initContainers", []), *pod["containers"]]
        if container["name"] in PROGRAMS
    ]


def environment(overlay: str, container: dict[str, Any]) -> dict[str, str]:
    """The variables of a container; one that the cluster fills in has its own name as its value."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        name = source["configMapRef"]["name"].rpartition("-")[0]
        found |= resource(overlay, "ConfigMap", name)["data"]
    for each in container.get("env", []):
        found[each["name"]] = each.get("value", each["name"])
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_valid_by_kubernetes_own_schema(overlay: str) -> None:
    """Strictly: a field that the schema does not know is a fault."""
    for each in render(overlay):
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, VERSION, strict=True)


#: A variable of the pod that a setting refers to.
POD_IP = "POD_IP"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_environment_of_each_program_is_its_settings(overlay: str) -> None:
    """Each variable is a setting of the program, and each value is one that the setting takes."""
    found = containers(overlay)

    assert {container["name"] for _, container in found} == PROGRAMS.keys()
    for _, container in found:
        settings = PROGRAMS[container["name"]]
        names = {each.name for each in variables(settings)} | {POD_IP}
        given = environment(overlay, container)
        plain = {
            name: value.replace(f"$({POD_IP})", "10.0.0.7")
            for name, value in given.items()
            if not name.endswith(FILE_SUFFIX) and name != POD_IP
        }
        assert {
            name.removesuffix(FILE_SUFFIX) if name not in names else name for name in given
        } <= names
        from_env(settings, plain)


def test_each_file_of_the_settings_is_in_a_mounted_secret() -> None:
    """Secrets and certificates come as files, and never in an environment."""
    for pod, container in containers("production"):
        secrets = {each["name"] for each in pod["volumes"] if "secret" in each}
        mounts = [
            mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in secrets
        ]
        files = [
            value
            for name, value in environment("production", container).items()
            if name.endswith(FILE_SUFFIX)
        ]
        assert files
        assert [one for one in files if one.rpartition("/")[0] not in mounts] == []
        assert "FABRIC_JOBS_KAFKA_SASL_PASSWORD" not in environment("production", container)
        assert pod["securityContext"]["fsGroup"] == 10001


def test_roles_are_given_to_the_names_of_the_certificates_that_the_page_asks_for() -> None:
    """A facade that names no facade's certificate gives no copy of its state.

    Without operators, nobody can run what the actions of the alerts name.
    """
    secrets = section("docs/deploy.md", "Kubernetes")
    asked = dict(
        re.findall(r"^\| `(\w+)-tls` \| `tls.crt` with the name `([\w-]+)`", secrets, re.M)
    )
    ((_, facade),) = (each for each in containers("production") if each[1]["name"] == "facade")
    given = environment("production", facade)

    assert given["FABRIC_JOBS_GRPC_FACADES"] == asked["facade"]
    assert given["FABRIC_JOBS_GRPC_OPERATORS"] == asked["facade"]
    assert given["FABRIC_JOBS_GRPC_EXECUTORS"] == asked["executor"]


def test_command_line_in_a_facades_pod_uses_what_the_pod_has() -> None:
    """The page's commands name the pod, the facade's own files, and the name of its certificate."""
    (enter,) = (one for one in find_commands("kubectl") if "exec" in one.parts[0])
    (block,) = (block for block in command_blocks() if enter in block)
    sets = [one.parts[0][1].partition("=") for one in block if one.parts[0][0] == "export"]
    typed = {name: value for name, _, value in sets}
    ((_, facade),) = (each for each in containers("production") if each[1]["name"] == "facade")
    given = environment("production", facade)
    spec = resource("production", "StatefulSet", "facade")

    namespace = spec["metadata"]["namespace"]
    assert enter.command == f"kubectl -n {namespace} exec -it statefulset/facade -- sh"
    assert typed.pop("FABRIC_JOBS_GRPC_ADDRESS") == f"{given['FABRIC_JOBS_GRPC_FACADES']}:5001"
    assert typed == {
        "FABRIC_JOBS_FACADES_TLS_CA_FILE": given["FABRIC_JOBS_GRPC_TLS_CLIENT_CA_FILE"],
        "FABRIC_JOBS_FACADES_TLS_CERT_FILE": given["FABRIC_JOBS_GRPC_TLS_CERT_FILE"],
        "FABRIC_JOBS_FACADES_TLS_KEY_FILE": given["FABRIC_JOBS_GRPC_TLS_KEY_FILE"],
    }


def test_job_that_the_page_deletes_is_the_check_of_the_overlay() -> None:
    """Kubernetes refuses a changed pod template of a Job that exists."""
    delete, apply = (one for one in find_commands("kubectl") if "exec" not in one.parts[0])
    job = resource("production", "Job", "check")
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]

    assert delete.command == f"kubectl -n {namespace} delete job {name} --ignore-not-found"
    assert apply.command == "kubectl apply -k my-overlay"
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_program_runs_restricted(overlay: str) -> None:
    """As the strictest Pod Security Standard demands; with a read-only root file system as well."""
    for pod, container in containers(overlay):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_facades_pod_has_the_time_that_its_stop_takes() -> None:
    """The grace covers the time as not ready and both servers' own; probes notice within it."""
    spec = resource("production", "StatefulSet", "facade")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    ready, live = container["readinessProbe"], container["livenessProbe"]
    unready_s = FacadeSettings().unready_s

    stop_s = unready_s + http_server.GRACE_S + rpc_server.GRACE_S
    assert stop_s + 10 <= spec["terminationGracePeriodSeconds"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < unready_s
    assert (ready["httpGet"]["path"], live["httpGet"]["path"]) == ("/readyz", "/livez")
    assert container["startupProbe"]["httpGet"]["path"] == "/readyz"


def test_an_executors_pod_has_the_time_that_its_stop_takes() -> None:
    """The grace covers the drain and every bounded wait after it; a probe waits for the answer."""
    spec = resource("production", "StatefulSet", "executor")["spec"]["template"]["spec"]
    (container,) = spec["containers"]

    after_drain_s = (
        runs.REPORT_TIMEOUT_S
        + handler_task.CLEAN_UP_TIMEOUT_S
        + session.CLOSE_TIMEOUT_S
        + intake.STOP_TIMEOUT_S
        + api.END_S
    )
    assert ExecutorSettings().drain_s + after_drain_s <= spec["terminationGracePeriodSeconds"]
    assert container["livenessProbe"]["timeoutSeconds"] > probes.LOOP_TIMEOUT_S


def test_executors_are_scaled_by_the_jobs_that_wait() -> None:
    """KEDA reads a metric of the namespace. Slots are the threshold, and partitions the limit."""
    spec = resource("production", "ScaledObject", "executor")["spec"]
    (trigger,) = spec["triggers"]
    executor = resource("production", "StatefulSet", "executor")
    query = r'max by \((\w+)\) \((\w+){namespace="([\w-]+)"}\)'
    ((labels, metric, namespace),) = re.findall(query, trigger["metadata"]["query"])

    assert spec["scaleTargetRef"] == {"kind": "StatefulSet", "name": "executor"}
    assert "replicas" not in executor["spec"]
    assert namespace == executor["metadata"]["namespace"]
    assert spec["maxReplicaCount"] == FacadeSettings().events_partitions
    assert trigger["metadata"]["threshold"] == str(ExecutorSettings().slots)
    assert {one.name: one.labels for one in REGISTRY.metrics}[metric] == (labels,)


def test_ingress_passes_the_base_path_alone() -> None:
    """/metrics, /monitor and the probes are not public."""
    spec = resource("production", "Ingress", "facade")["spec"]
    paths = [path["path"] for rule in spec["rules"] for path in rule["http"]["paths"]]

    assert paths == [FacadeSettings().base_path]
    assert "defaultBackend" not in spec


def test_each_selector_finds_pods_and_each_named_port_is_there() -> None:
    """Of Services, disruption budgets, network policies and service monitors."""
    found = render("production")
    templates = [
        each["spec"]["template"] for each in found if each["kind"] in ("StatefulSet", "Job")
    ]
    services = [each for each in found if each["kind"] == "Service"]
    for each in found:
        selector = each.get("spec", {}).get("selector") or each.get("spec", {}).get("podSelector")
        if each["kind"] == "ServiceMonitor":
            wanted = selector["matchLabels"].items()
            chosen = [one for one in services if wanted <= one["metadata"]["labels"].items()]
            names = {port["name"] for one in chosen for port in one["spec"]["ports"]}
            assert {endpoint["port"] for endpoint in each["spec"]["endpoints"]} <= names
        elif selector:
            labels = selector.get("matchLabels", selector).items()
            assert [one for one in templates if labels <= one["metadata"]["labels"].items()], each


def test_rules_are_those_of_the_rule_files() -> None:
    """`make docs` would change nothing."""
    assert rules.RESOURCE.read_text() == rules.resource()
