"""The recording rules and alerts of deploy/service-levels.yaml, and the Grafana dashboard."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabric_jobs.executor.metrics import REGISTRY as EXECUTOR
from fabric_jobs.facade import metrics
from fabric_jobs.facade.http import remote, routes
from fabric_jobs.facade.metrics import REGISTRY as FACADE
from tests.support.paths import ROOT
from tests.support.requirements import missing

FILE = ROOT / "deploy" / "service-levels.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "fabric-jobs.json").read_text())
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DECLARED = {metric.name: metric for registry in (FACADE, EXECUTOR) for metric in registry.metrics}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
CREATE, POLL = "Jobs_CreateItemJobInstance", "Jobs_GetItemJobInstanceState"
HOUR = 60
#: For each service level: its series, and how many of a thousand requests a minute each counts,
#: while all is well and while too many fail.
SERIES: dict[str, dict[str, tuple[int, int]]] = {
    "FabricJobsCreatesBurn": {
        f'fabric_jobs_request_seconds_count{{operation="{CREATE}",status="202"}}': (1000, 980),
        f'fabric_jobs_request_seconds_count{{operation="{CREATE}",status="503"}}': (0, 20),
    },
    # Slow answers count as well as 5xx.
    "FabricJobsPollsBurn": {
        f'fabric_jobs_request_seconds_count{{operation="{POLL}",status="200"}}': (1000, 990),
        f'fabric_jobs_request_seconds_bucket{{operation="{POLL}",status="200",le="1.0"}}': (
            1000,
            980,
        ),
        f'fabric_jobs_request_seconds_count{{operation="{POLL}",status="503"}}': (0, 10),
        f'fabric_jobs_request_seconds_bucket{{operation="{POLL}",status="503",le="1.0"}}': (0, 10),
    },
    "FabricJobsStartsBurn": {
        'fabric_jobs_start_seconds_count{job_type="a"}': (1000, 1000),
        'fabric_jobs_start_seconds_bucket{job_type="a",le="60.0"}': (1000, 800),
    },
}


def metrics_of(query: str) -> list[tuple[str, set[str]]]:
    """The metrics of ours that a query reads, each with the labels that its matchers name."""
    found = re.findall(
        r"\b(fabric_jobs_\w+?)(?:_bucket|_count|_sum)?\b(?:\{(.*?)\})?(?=[\[ )]|$)", query
    )
    return [
        (name, set(re.findall(r"(\w+)[=!~]+\"", matchers)) - {"le"}) for name, matchers in found
    ]


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_fires_once_the_budget_is_spent_too_fast(alert: str, tmp_path: Path) -> None:
    """All is well for an hour, and the alert is silent. After three hours of failures it fires."""
    if shutil.which("promtool") is None:
        missing("promtool", "no promtool on PATH: install Prometheus")
    level = alert.removesuffix("Fast").removesuffix("Slow")
    series = [
        {"series": name, "values": f"0+{well}x{HOUR} {HOUR * well}+{failing}x{4 * HOUR}"}
        for name, (well, failing) in SERIES[level].items()
    ]
    expectations = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": samples,
        }
        for minute, samples in ((HOUR, []), (4 * HOUR, [{"labels": "{}", "value": 1}]))
    ]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": expectations}
    file = tmp_path / "tests.yaml"
    document = {"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": [case]}
    file.write_text(yaml.safe_dump(document))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_operations_are_those_of_fabrics_routes() -> None:
    """The matchers of creates and polls choose one operation of each family, and nothing else."""
    sources = Path(routes.__file__).read_text() + Path(remote.__file__).read_text()
    operations = re.findall(r'operation_id="(\w+)"', sources)
    chosen = {
        pattern: [one for one in operations if re.fullmatch(pattern, one)]
        for pattern in re.findall(r'operation=~"(.*?)"', FILE.read_text())
    }

    assert chosen == {
        ".*Create.*": ["Jobs_CreateItemJobInstance", "RemoteJobs_OnCreateJobInstance"],
        ".*Get.*": ["Jobs_GetItemJobInstanceState", "RemoteJobs_OnGetJobInstanceStatus"],
    }


def test_bounds_of_the_objectives_are_bounds_of_the_histograms() -> None:
    """Prometheus has no series for any other bound."""
    assert {float(bound) for bound in metrics._ANSWER_BOUNDS_S} >= {1.0}
    assert {float(bound) for bound in metrics._START_BOUNDS_S} >= {60.0}


@pytest.mark.parametrize("query", [*(rule["expr"] for rule in RULES), *QUERIES])
def test_query_reads_metrics_and_labels_that_are_declared(query: str) -> None:
    """Of the rules and of the dashboard; a recorded ratio is recorded by a rule."""
    recorded = set(re.findall(r"fabric_jobs:\w+:\w+", query))
    read = metrics_of(query)

    assert read or recorded
    assert recorded <= RECORDED
    for name, labels in read:
        assert labels <= set(DECLARED[name].labels), name
    for labels in re.findall(r"by \((.*?)\)", query):
        declared = {label for name, _ in read for label in DECLARED[name].labels}
        assert set(labels.split(", ")) - {"le"} <= declared


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_says_what_is_wrong_and_what_to_do(alert: str) -> None:
    """As the other alerts do, with a severity."""
    rule = ALERTS[alert]

    assert re.fullmatch(r"[A-Z].{20,}\.", rule["annotations"]["summary"])
    assert re.fullmatch(r"[A-Z].{40,}\.", rule["annotations"]["action"])
    assert rule["labels"]["severity"] == ("critical" if alert.endswith("Fast") else "warning")


def test_panels_of_the_dashboard_are_whole() -> None:
    """Each has an id of its own, a title, a description and the dashboard's data source."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(ids) == len(set(ids))
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"]["uid"] == "${datasource}"
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource"]


def test_every_metric_of_the_facade_for_fabric_is_on_the_dashboard() -> None:
    """Requests, jobs and the replica; the rest is for looking closer."""
    shown = {name for query in QUERIES for name, _ in metrics_of(query)}

    assert {
        "fabric_jobs_request_seconds",
        "fabric_jobs_start_seconds",
        "fabric_jobs_queued_jobs",
        "fabric_jobs_ready",
        "fabric_jobs_executors",
    } <= shown
