"""Metrics through OpenTelemetry's API, each declared once. Without the SDK they are not exported.

A metric's name is its Prometheus name everywhere: it ends with the unit, or with `_total` for a
counter.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from fabric_jobs.runtime.telemetry import histograms
from fabric_jobs.runtime.telemetry.histograms import HistogramValues

OTHER = "other"
#: The buckets' upper bounds of a run's duration, in seconds: a tenth of a second to one day.
RUN_BOUNDS_S = (0.1, 1, 10, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400)


class Metric(NamedTuple):
    """A declared metric, as the documentation and Prometheus describe it."""

    name: str
    labels: tuple[str, ...]
    description: str


class MetricValues:
    """The values of a counter or gauge: one number for each combination of label values.

    A change costs no more than a dictionary update. OpenTelemetry reads the numbers when it
    collects metrics, possibly in another thread.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self._numbers: dict[tuple[str, ...], float] = {}

    def add(self, number: float, *labels: str) -> None:
        """Adds to the number of these label values, given in the order of the labels."""
        self._numbers[labels] = self._numbers.get(labels, 0) + number

    def set(self, number: float, *labels: str) -> None:
        """Sets the number of these label values, given in the order of the labels."""
        self._numbers[labels] = number

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """Returns every number with its labels; OpenTelemetry calls this."""
        return [
            Observation(number, dict(zip(self.labels, labels, strict=True)))
            for labels, number in self._numbers.copy().items()
        ]


class MetricRegistry:
    """Declares the metrics of a program, and lists them."""

    def __init__(self, scope: str) -> None:
        """`scope` is the OpenTelemetry instrumentation scope."""
        self._scope = scope
        self._meter = metrics.get_meter(scope)
        self.metrics: list[Metric] = []

    def counter(self, name: str, description: str, *labels: str) -> MetricValues:
        """Declares a number that only increases."""
        values = self._declare(name, description, labels)
        self._meter.create_observable_counter(name, [values.observe], description=description)
        return values

    def gauge(self, name: str, description: str, *labels: str) -> MetricValues:
        """Declares a number that increases and decreases."""
        values = self._declare(name, description, labels)
        self._meter.create_observable_gauge(name, [values.observe], description=description)
        return values

    def histogram(
        self, name: str, description: str, *labels: str, bounds: Sequence[float]
    ) -> HistogramValues:
        """Declares a histogram of durations. `bounds` are the buckets' upper limits in seconds."""
        self.metrics.append(Metric(name, labels, description))
        values = HistogramValues(self._scope, name, description, labels, bounds)
        histograms.declared.append(values)
        return values

    def _declare(self, name: str, description: str, labels: tuple[str, ...]) -> MetricValues:
        self.metrics.append(Metric(name, labels, description))
        return MetricValues(labels)


class BoundedLabel:
    """Bounds the number of values of a label: the first ones are kept, every other is `other`."""

    def __init__(self, max_values: int) -> None:
        self._max_values = max_values
        self._kept: set[str] = set()

    def __call__(self, value: str) -> str:
        """Returns the value if it is kept, else `other`."""
        if value not in self._kept:
            if len(self._kept) == self._max_values:
                return OTHER
            self._kept.add(value)
        return value
