"""docs/observe.md has the metrics that the code declares."""

import re

from fabric_jobs.executor.metrics import REGISTRY as EXECUTOR
from fabric_jobs.facade.metrics import REGISTRY as FACADE
from tests.support.pages import section


def test_metric_tables_equal_the_declarations() -> None:
    """Every metric is listed, in the order of its declaration, with labels and meaning."""
    rows = re.findall(
        r"^\| `(fabric_jobs_\w+)` \| (.*?) \| (.*) \|$",
        section("docs/observe.md", "Metrics"),
        re.M,
    )

    assert rows == [
        (metric.name, ", ".join(f"`{label}`" for label in metric.labels), metric.description)
        for registry in (FACADE, EXECUTOR)
        for metric in registry.metrics
    ]
