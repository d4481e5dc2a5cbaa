"""The alert rules in deploy/alerts.yaml."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabric_jobs.executor.metrics import REGISTRY as EXECUTOR
from fabric_jobs.facade.metrics import REGISTRY as FACADE
from tests.support.paths import ROOT
from tests.support.requirements import missing

FILE = ROOT / "deploy/alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
DECLARED = {metric.name: metric for registry in (FACADE, EXECUTOR) for metric in registry.metrics}
#: A series of ours in an expression, with its matchers; a histogram has three series.
SERIES = re.compile(r"(fabric_jobs_\w+?)(?:_bucket|_count|_sum)?(?:\{(.*?)\})?[ \[)]")
#: For each alert: series in which something goes wrong in the sixth minute, in the notation of
#: Prometheus' tests, and the minute in which the alert fires.
FIRING: dict[str, tuple[dict[str, str], int]] = {
    "FabricJobsForked": ({'fabric_jobs_records_total{verdict="forked"}': "0x5 1x9"}, 6),
    # The series ends: no facade is left to report that it is not ready.
    "FabricJobsNoReplicaReady": ({"fabric_jobs_ready": "1x5 stale"}, 7),
    "FabricJobsReplicaNotReady": (
        {
            'fabric_jobs_ready{instance="one"}': "1x5 0x9",
            'fabric_jobs_ready{instance="two"}': "1x15",
        },
        11,
    ),
    # Another program that is down is no facade.
    "FabricJobsReplicaDown": (
        {
            'up{job="facade",instance="one"}': "1x5 0x9",
            'fabric_jobs_ready{job="facade",instance="one"}': "1x5 stale",
            'up{job="other",instance="one"}': "0x15",
        },
        11,
    ),
    "FabricJobsNotStarted": ({"fabric_jobs_oldest_not_started_seconds": "900x5 901x9"}, 11),
    "FabricJobsNoExecutor": ({"fabric_jobs_executors": "1x5 0x9"}, 11),
    "FabricJobsExecutorDisconnected": ({"fabric_jobs_executor_connected": "1x5 0x9"}, 8),
    "FabricJobsHungSlots": ({"fabric_jobs_executor_hung_slots": "0x5 1x19"}, 16),
    # The fourth lost lease in 15 minutes.
    "FabricJobsLeasesLost": ({"fabric_jobs_leases_lost_total": "0x5 1+1x9"}, 9),
    # One in 31 of the requests of the last five minutes, then one in 16.
    "FabricJobsErrors": (
        {
            'fabric_jobs_request_seconds_count{status="202"}': "0+60x20",
            'fabric_jobs_request_seconds_count{status="503"}': "0x5 10+10x15",
        },
        12,
    ),
    "FabricJobsConnectionsFull": (
        {
            'fabric_jobs_http_refusals_total{code="Unavailable"}': "0x5 1x9",
            'fabric_jobs_http_refusals_total{code="InvalidRequest"}': "0+1x15",
        },
        8,
    ),
    # 60 of 130 requests, then 90 of 170.
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
    "FabricJobsPoison": ({'fabric_jobs_poison_records_total{topic="controls"}': "0x5 1x9"}, 6),
    "FabricJobsCertificatesUnusable": (
        {'fabric_jobs_certificates_unusable{use="grpc"}': "0x5 1x9"},
        11,
    ),
    "FabricJobsCertificateExpires": (
        {
            'fabric_jobs_certificate_life_left{setting="one"}': "0.1x5 0.09x9",
            'fabric_jobs_certificate_life_left{setting="two"}': "1x14",
        },
        11,
    ),
    "FabricJobsLongestLifeDiffers": (
        {
            'fabric_jobs_longest_life_seconds{instance="one"}': "86400x19",
            'fabric_jobs_longest_life_seconds{instance="two"}': "86400x5 172800x13",
        },
        8,
    ),
    "FabricJobsRefusedRecords": (
        {'fabric_jobs_refused_records_total{topic="heartbeats"}': "0x5 1x9"},
        6,
    ),
    "FabricJobsExchangeRefused": (
        {
            'fabric_jobs_token_exchanges_total{flow="on_behalf_of",outcome="refused"}': "0x5 1x9",
            'fabric_jobs_token_exchanges_total{flow="refresh_token",outcome="refused"}': "1+1x14",
        },
        6,
    ),
    "FabricJobsUnopenedSecrets": (
        {'fabric_jobs_unopened_secrets_total{reason="unknown_key"}': "0x5 1x9"},
        6,
    ),
    # 64 of 130 jobs of the type, then 72 of 140. A long job that was requested before counts once.
    "FabricJobsFailing": (
        {
            'fabric_jobs_events_total{type="fabric.jobs.completed",job_type="bad"}': (
                "0+10x5 52+2x25"
            ),
            'fabric_jobs_events_total{type="fabric.jobs.failed",job_type="bad"}': "0x5 8+8x25",
            'fabric_jobs_events_total{type="fabric.jobs.completed",job_type="good"}': "0+9x30",
            'fabric_jobs_events_total{type="fabric.jobs.failed",job_type="good"}': "0+1x30",
            'fabric_jobs_events_total{type="fabric.jobs.requested",job_type="long"}': "9x30",
            'fabric_jobs_events_total{type="fabric.jobs.completed",job_type="long"}': "0x5 8x25",
            'fabric_jobs_events_total{type="fabric.jobs.failed",job_type="long"}': "0x5 1x25",
        },
        24,
    ),
}


def test_alert_fires_in_prometheus_at_its_minute_and_not_before(tmp_path: Path) -> None:
    """Prometheus' own test tool evaluates every rule on its series; each fires once."""
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
def test_rule_uses_declared_metrics_and_their_labels(rule: dict[str, Any]) -> None:
    """Every series in the expression is a declared metric, matched by labels that it has."""
    found = SERIES.findall(f"{rule['expr']} ")

    assert found
    for name, matchers in found:
        labels = set(re.findall(r"(\w+)[=!~]+\"", matchers))
        assert labels <= set(DECLARED[name].labels), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rule_has_summary_action_and_severity(rule: dict[str, Any]) -> None:
    """Summary and action are sentences; the severity is critical or warning."""
    annotations = rule["annotations"]

    assert re.fullmatch(r"[A-Z].{20,}\.", annotations["summary"])
    assert re.fullmatch(r"[A-Z].{40,}\.", annotations["action"])
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_forked_log_fires_a_critical_alert() -> None:
    """A single forked record is enough, because a healthy log has none."""
    (rule,) = (rule for rule in RULES if rule["alert"] == "FabricJobsForked")

    assert rule["expr"] == 'max(fabric_jobs_records_total{verdict="forked"}) > 0'
    assert rule["labels"]["severity"] == "critical"
