"""The alert rules."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from executor.metrics import METERS as EXECUTOR
from facade.metrics import METERS as FACADE

FILE = Path(__file__).parents[2] / "deploy/alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
DECLARED = {metric.name: metric for meters in (FACADE, EXECUTOR) for metric in meters.declared}
#: What Prometheus makes of a histogram.
SERIES = re.compile(r"(fabric_jobs_\w+?)(?:_bucket|_count|_sum)?(?:\{(.*?)\})?[ \[)]")


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
