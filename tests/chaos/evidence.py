"""What a run left behind, as input of the validators."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import accumulate

from tests.chaos.handlers import KINDS, Kind
from tests.chaos.history import History, Line
from tests.chaos.model import Model


class Evidence:
    """The clients' history, the journals, the model of the topic, and the executors' ids."""

    def __init__(
        self,
        history: History,
        journal: Iterable[Line],
        model: Model,
        executors: dict[int, str],
        log_away: Iterable[tuple[float, float]] = (),
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        """`executors` maps process ids to executor ids. `log_away` lists the start and end of each
        disturbance of the brokers. `kinds` are the kinds of jobs by their names."""
        self.history = history
        self.journal = list(journal)
        self.model = model
        self.executors = executors
        disturbances = sorted(log_away)
        self._disturbed_from = [start for start, _ in disturbances]
        #: The latest end of each disturbance and all earlier ones.
        self._disturbed_until = list(accumulate((end for _, end in disturbances), max))
        self.kinds = kinds

    def is_log_away(self, start: float, end: float) -> bool:
        """Whether the brokers were disturbed at any moment from start to end."""
        begun = bisect_right(self._disturbed_from, end)
        return begun > 0 and self._disturbed_until[begun - 1] >= start

    @cached_property
    def runs(self) -> dict[tuple[str, int], list[Line]]:
        """The journals' lines of each attempt of a job."""
        found: defaultdict[tuple[str, int], list[Line]] = defaultdict(list)
        for line in self.journal:
            found[line.job, line.attempt].append(line)
        return found

    def kind(self, job: str) -> str:
        """The kind of a job that a client asked for."""
        return self.history.kinds[job]
