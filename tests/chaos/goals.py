"""Goals: the most that the figures of a kind of fault shall be. A missed goal is no breach."""

from collections.abc import Mapping
from typing import NamedTuple


class Goal(NamedTuple):
    """What a kind of fault may cost."""

    text: str
    #: The names of the figures, of the kind of fault or of the whole run, that the goal is about.
    figures: tuple[str, ...]
    at_most: float

    def worst(self, figures: Mapping[str, float]) -> float:
        """The largest of the goal's figures; the goal is met if it is at most `at_most`."""
        return max(figures[name] for name in self.figures)


ONE_PROGRAM = Goal("≤ 1 s without a create or a poll", ("no_create_s", "no_poll_s"), 1.0)
ONE_BROKER = Goal("≤ 5 s without a create or a poll", ("no_create_s", "no_poll_s"), 5.0)
ALL_BROKERS = Goal(
    "≤ 5 s without a create or a poll once all are back",
    ("no_create_after_s", "no_poll_after_s"),
    5.0,
)
NO_WRONG_EXPIRY = Goal("no job of the run ends wrongly", ("wrong_ends",), 0)
