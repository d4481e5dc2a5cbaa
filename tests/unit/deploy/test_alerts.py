"""The alert rules."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabric_jobs.executor.metrics import METERS as EXECUTOR
from fabric_jobs.facade.metrics import METERS as FACADE
from tests.conftest import missing
from tests.support.paths import ROOT

FILE = ROOT / "deploy/alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
DECLARED = {metric.name: metric for meters in (FACADE, EXECUTOR) for metric in meters.declared}
#: What Prometheus makes of a histogram.
SERIES = re.compile(r"(fabric_jobs_\w+?)(?:_bucket|_count|_sum)?(?:\{(.*?)\})?[ \[)]")
#: Of each alert, what goes wrong at the sixth minute, as Prometheus writes series in tests, and the
#: minute in which it fires.
FIRING: dict[str, tuple[dict[str, str], int]] = {
    "FabricJobsForked": ({'fabric_jobs_records_total{verdict="forked"}': "0x5 1x9"}, 6),
    # Nor is there any that could say so.
    "FabricJobsNoReplicaReady": ({"fabric_jobs_ready": "1x5 stale"}, 7),
    "FabricJobsReplicaNotReady": (
        {
            'fabric_jobs_ready{instance="one"}': "1x5 0x9",
            'fabric_jobs_ready{instance="two"}': "1x15",
        },
        11,
    ),
    "FabricJobsNotStarted": ({"fabric_jobs_oldest_not_started_seconds": "900x5 901x9"}, 11),
    "FabricJobsNoExecutor": ({"fabric_jobs_executors": "1x5 0x9"}, 11),
    "FabricJobsExecutorDisconnected": ({"fabric_jobs_executor_connected": "1x5 0x9"}, 8),
    # The fourth in 15 minutes.
    "FabricJobsLeasesLost": ({"fabric_jobs_leases_lost_total": "0x5 1+1x9"}, 9),
    # One in 31 of the last five minutes', then one in 16.
    "FabricJobsErrors": (
        {
            'fabric_jobs_request_seconds_count{status="202"}': "0+60x20",
            'fabric_jobs_request_seconds_count{status="503"}': "0x5 10+10x15",
        },
        12,
    ),
    # 60 of 130, then 90 of 170.
    "FabricJobsUnauthorized": (
        {
            'fabric_jobs_request_seconds_count{status="202"}': "0+10x30",
            'fabric_jobs_request_seconds_count{status="401"}': "0x5 30+30x25",
        },
        18,
    ),
    "FabricJobsAppendSlow": (
        {
            'fabric_jobs_append_seconds_bucket{le="1"}': "0+100x5 590+90x20",
            'fabric_jobs_append_seconds_bucket{le="2.5"}': "0+100x26",
            'fabric_jobs_append_seconds_bucket{le="+Inf"}': "0+100x26",
        },
        16,
    ),
    "FabricJobsPoison": ({'fabric_jobs_records_total{verdict="poison"}': "0x5 1x9"}, 6),
    # 64 of 130, then 72 of 140.
    "FabricJobsFailing": (
        {
            'fabric_jobs_events_total{type="fabric.jobs.requested",job_type="bad"}': "0+10x30",
            'fabric_jobs_events_total{type="fabric.jobs.failed",job_type="bad"}': "0x5 8+8x25",
            'fabric_jobs_events_total{type="fabric.jobs.requested",job_type="good"}': "0+10x30",
            'fabric_jobs_events_total{type="fabric.jobs.failed",job_type="good"}': "0+1x30",
        },
        24,
    ),
}


def test_each_alert_fires_in_prometheus_and_no_minute_sooner(tmp_path: Path) -> None:
    """Once: its series, by Prometheus' own tool for such tests."""
    if shutil.which("promtool") is None:
        missing("promtool", "no promtool on PATH: install Prometheus")
    cases = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": text} for name, text in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if minute == first else [],
                }
                for minute in (first - 1, first)
            ],
        }
        for alert, (series, first) in FIRING.items()
    ]
    file = tmp_path / "tests.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": cases})
    )
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)

    assert FIRING.keys() == {rule["alert"] for rule in RULES}
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_that_there_are(rule: dict[str, Any]) -> None:
    """By labels that they have."""
    found = SERIES.findall(f"{rule['expr']} ")

    assert found
    for name, matchers in found:
        labels = set(re.findall(r"(\w+)[=!~]+\"", matchers))
        assert labels <= set(DECLARED[name].labels), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    """Each a sentence, and how grave it is."""
    said = rule["annotations"]

    assert re.fullmatch(r"[A-Z].{20,}\.", said["summary"])
    assert re.fullmatch(r"[A-Z].{40,}\.", said["action"])
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_a_fork_is_alerted() -> None:
    """It can't happen in a healthy log."""
    (rule,) = (rule for rule in RULES if rule["alert"] == "FabricJobsForked")

    assert rule["expr"] == 'max(fabric_jobs_records_total{verdict="forked"}) > 0'
    assert rule["labels"]["severity"] == "critical"
