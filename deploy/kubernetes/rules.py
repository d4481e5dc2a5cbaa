"""Writes the rules of Prometheus into the custom resource that its operator reads: `make docs`."""

from pathlib import Path

import yaml

DEPLOY = Path(__file__).parent.parent
SOURCES = ("alerts.yaml", "service-levels.yaml")
RESOURCE = DEPLOY / "kubernetes" / "production" / "rules.yaml"


def resource() -> str:
    """The PrometheusRule with the groups of all rule files."""
    groups = [
        group
        for source in SOURCES
        for group in yaml.safe_load((DEPLOY / source).read_text())["groups"]
    ]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "fabric-jobs"},
        "spec": {"groups": groups},
    }
    head = "# Written by `make docs` from deploy/alerts.yaml and deploy/service-levels.yaml.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=100)


if __name__ == "__main__":
    RESOURCE.write_text(resource())
