"""The same seed gives the same run."""

from collections import Counter
from itertools import islice

from tests.chaos.failpoints import FAILPOINTS, schedule
from tests.chaos.handlers import KINDS
from tests.chaos.traffic import Plan, plans


def drawn(plan: Plan) -> tuple[object, ...]:
    """A plan, and what its dice will say."""
    return plan.job, plan.kind, plan.doubled, plan.impatience_s, plan.cancel, plan.dice.random()


def test_same_seed_makes_the_same_jobs() -> None:
    """Ids, kinds, repetitions, cancels and every later choice are equal."""
    first, again, other = ([drawn(one) for one in islice(plans(seed), 500)] for seed in (1, 1, 2))

    assert first == again
    assert {job[0] for job in first}.isdisjoint(job[0] for job in other)


def test_jobs_of_a_seed_have_every_kind() -> None:
    """Some are doubled, impatient or cancelled, and each kind has its handler."""
    made = list(islice(plans(1), 1000))

    assert {one.kind for one in made} == KINDS.keys()
    assert {one.cancel for one in made} == {"", "at once", "running"}
    assert {one.doubled for one in made} == {True, False}
    assert 0 < sum(one.impatience_s is not None for one in made) < 200


def test_same_seed_schedules_the_same_faults() -> None:
    """They come in the same order and with the same random choices."""
    first, again, other = (
        [(one.name, dice.random()) for one, dice in islice(schedule(seed), 100)]
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_round_has_every_kind_of_fault_once() -> None:
    """A run with enough rounds has enough faults of each kind."""
    rounds = 20
    names = Counter(one.name for one, _ in islice(schedule(7), rounds * len(FAILPOINTS)))

    assert names == {one.name: rounds for one in FAILPOINTS}
