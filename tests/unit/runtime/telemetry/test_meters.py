"""Metrics before they are collected."""

from opentelemetry.metrics import CallbackOptions

from fabric_jobs.runtime.telemetry.metrics import OTHER, Bounded, Values


def test_values_are_told_with_their_labels() -> None:
    """Sums and what was set last, each by the values of its labels."""
    values = Values(("verdict", "topic"))
    values.add(0, "lost", "a")
    values.add(2, "lost", "a")
    values.set(5, "lost", "b")
    values.set(7, "lost", "b")
    told = [(one.attributes, one.value) for one in values.observe(CallbackOptions())]

    assert told == [
        ({"verdict": "lost", "topic": "a"}, 2),
        ({"verdict": "lost", "topic": "b"}, 7),
    ]


def test_a_label_has_so_many_values_and_no_more() -> None:
    """Those that came first stay themselves, whatever comes later."""
    label = Bounded(2)

    assert [label(value) for value in "abcab"] == ["a", "b", OTHER, "a", "b"]
