"""All that a run left behind, for the validators to look at."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from tests.chaos.history import History, Line
from tests.chaos.model import Model


class Evidence:
    """What clients saw, what ran, what the topic says, and who was who."""

    def __init__(
        self,
        history: History,
        journal: Iterable[Line],
        model: Model,
        executors: dict[int, str],
        log_away: Iterable[tuple[float, float]] = (),
    ) -> None:
        """`executors` names the executor id of each process; `log_away` lists when the brokers
        were disturbed, from and to."""
        self.history = history
        self.journal = list(journal)
        self.model = model
        self.executors = executors
        self.log_away = list(log_away)

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
