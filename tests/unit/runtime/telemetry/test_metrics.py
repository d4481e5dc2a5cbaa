"""The values and labels of metrics, before OpenTelemetry collects them."""

from opentelemetry.metrics import CallbackOptions

from fabric_jobs.runtime.telemetry.metrics import OTHER, BoundedLabel, MetricValues


def test_metric_values_are_observed_with_their_labels() -> None:
    """`add` sums up, and `set` replaces."""
    values = MetricValues(("verdict", "topic"))
    values.add(0, "lost", "a")
    values.add(2, "lost", "a")
    values.set(5, "lost", "b")
    values.set(7, "lost", "b")
    observed = [(one.attributes, one.value) for one in values.observe(CallbackOptions())]

    assert observed == [
        ({"verdict": "lost", "topic": "a"}, 2),
        ({"verdict": "lost", "topic": "b"}, 7),
    ]


def test_bounded_label_with_too_many_values_calls_the_later_ones_other() -> None:
    """The first values keep their name for ever."""
    label = BoundedLabel(2)

    assert [label(value) for value in "abcab"] == ["a", "b", OTHER, "a", "b"]
