"""Metrics by OpenTelemetry's API, each declared once; they go nowhere until the SDK is started.

A metric has one name everywhere, which is how Prometheus spells it: with its unit, and `_total`
where it only grows.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

OTHER = "other"
#: The buckets' upper bounds of a run's duration, in seconds: a tenth of a second to one day.
RUN_BOUNDS_S = (0.1, 1, 10, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400)


class Metric(NamedTuple):
    """What is said of a metric: in the documentation, and beside its values."""

    name: str
    labels: tuple[str, ...]
    meaning: str


class Values:
    """Numbers, each with the values of its labels in their order.

    To change one is as cheap as a dictionary: they are read when metrics are collected, in whatever
    thread that is.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self._numbers: dict[tuple[str, ...], float] = {}

    def add(self, number: float, *labels: str) -> None:
        """The number grows by so much."""
        self._numbers[labels] = self._numbers.get(labels, 0) + number

    def set(self, number: float, *labels: str) -> None:
        """The number is this."""
        self._numbers[labels] = number

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        """All of them, as OpenTelemetry asks."""
        return [
            Observation(number, dict(zip(self.labels, labels, strict=True)))
            for labels, number in self._numbers.copy().items()
        ]


class Meters:
    """Declares the metrics of a program."""

    def __init__(self, scope: str) -> None:
        self._meter = metrics.get_meter(scope)
        self.declared: list[Metric] = []

    def counter(self, name: str, meaning: str, *labels: str) -> Values:
        """What only grows."""
        values = self._values(name, meaning, labels)
        self._meter.create_observable_counter(name, [values.observe], description=meaning)
        return values

    def gauge(self, name: str, meaning: str, *labels: str) -> Values:
        """What goes up and down."""
        values = self._values(name, meaning, labels)
        self._meter.create_observable_gauge(name, [values.observe], description=meaning)
        return values

    def histogram(
        self, name: str, meaning: str, *labels: str, bounds: Sequence[float]
    ) -> Histogram:
        """How often what took how long; `bounds` are the buckets' upper bounds, in seconds."""
        self.declared.append(Metric(name, labels, meaning))
        return self._meter.create_histogram(
            name, "s", meaning, explicit_bucket_boundaries_advisory=bounds
        )

    def _values(self, name: str, meaning: str, labels: tuple[str, ...]) -> Values:
        self.declared.append(Metric(name, labels, meaning))
        return Values(labels)


class Bounded:
    """Keeps the first so many values of a label, and calls any further one `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """The value, or `other`."""
        if value not in self._known:
            if len(self._known) == self._most:
                return OTHER
            self._known.add(value)
        return value
