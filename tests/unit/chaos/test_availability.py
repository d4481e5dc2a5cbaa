"""How an unavailability is measured."""

from tests.chaos.availability import Window, figures_of_kinds
from tests.support.chaos_story import IN_PROGRESS, operation

WINDOW = Window("fault", "fault", False, injected=10, undone=14, healthy=20)


def test_outage_is_the_longest_time_between_two_successes_in_the_window() -> None:
    """Creates and polls are counted; answers of 503 and 404 are no success."""
    operations = [
        *(operation("create", at, code=202, took=0) for at in (9, 10.5, 16, 19)),
        *(operation("create", at, code=503, took=0) for at in (11, 12)),
        *(operation("poll", at, IN_PROGRESS, took=0) for at in range(9, 22)),
        operation("poll", 12.5, code=404, took=0),
    ]

    assert figures_of_kinds([WINDOW], operations) == {
        "fault": {
            "times": 1,
            "no_create_s": 5.5,
            "no_create_after_s": 3.0,
            "no_poll_s": 1.0,
            "no_poll_after_s": 1.0,
            "recovered_s": 6.0,
        }
    }


def test_outage_of_a_kind_is_that_of_its_worst_window() -> None:
    """A window without any success counts as a whole."""
    short = Window("fault", "fault", False, injected=30, undone=30, healthy=31)

    (figures,) = figures_of_kinds([short, WINDOW], []).values()

    assert figures["times"] == 2
    assert (figures["no_create_s"], figures["no_poll_s"]) == (10.0, 10.0)
    assert (figures["no_create_after_s"], figures["recovered_s"]) == (6.0, 6.0)
