"""The names of job types in messages: the types that resemble a misspelt one come first.

Any executor may serve hundreds of types, and any job may have a type that nobody serves. So the
types that are compared with one type are few, however many there are: its neighbours in the
alphabet, which begin alike, and its neighbours among the reversed names, which end alike.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import lru_cache

from fabric_jobs.contract.heartbeats import JobKind

#: Names of job types that a message lists at most.
MAX_NAMES = 5
#: The names that are compared with a name, on each side of its place in each of both orders.
NEIGHBOURS = 3
#: The part of the longer name, from 0 to 1, that must be the same at the beginning and at the end
#: of two names that resemble each other.
LEAST_RESEMBLANCE = 0.5
#: Bound of the texts that are kept for one set of types.
MAX_TEXTS = 1000


def name(kind: JobKind) -> str:
    """Returns the item type and the job type as a person types them."""
    return f"{kind.item_type} {kind.job_type}"


def list_names(kinds: Collection[JobKind], near: JobKind) -> str:
    """Returns the names of job types, the nearest to `near` first, at most `MAX_NAMES` of them."""
    return _index(frozenset(kinds)).list_names(name(near))


class _NameIndex:
    """The names of a set of job types, in both orders."""

    def __init__(self, kinds: Collection[JobKind]) -> None:
        self._names = sorted(map(name, kinds))
        folded = [(one.casefold(), one) for one in self._names]
        self._forward = sorted(folded)
        self._backward = sorted((one[::-1], original) for one, original in folded)
        #: The text for each name that was asked for.
        self._texts: dict[str, str] = {}

    def list_names(self, near: str) -> str:
        """Returns the names in the order of `list_names`."""
        if near not in self._texts:
            if len(self._texts) >= MAX_TEXTS:
                self._texts.clear()
            self._texts[near] = self._join(near)
        return self._texts[near]

    def _join(self, near: str) -> str:
        nearest = self._nearest(near.casefold())
        others = (one for one in self._names[: 2 * MAX_NAMES] if one not in nearest)
        listed = [*nearest, *others][:MAX_NAMES]
        more = len(self._names) - len(listed)
        return ", ".join(listed) + (f" and {more} more" if more else "")

    def _nearest(self, near: str) -> Sequence[str]:
        """Returns the names that resemble a name in folded case, the most alike first."""
        neighbours = dict[str, str]()
        for folded, original in _neighbours(self._forward, near):
            neighbours[original] = folded
        for backward, original in _neighbours(self._backward, near[::-1]):
            neighbours[original] = backward[::-1]
        scored = sorted(
            (-resemblance(near, folded), original) for original, folded in neighbours.items()
        )
        return [one for score, one in scored if -score >= LEAST_RESEMBLANCE][:MAX_NAMES]


#: A change of the executors makes a new set. Two sets alternate: what is served, what is known.
_index = lru_cache(maxsize=2)(_NameIndex)


def _neighbours(entries: Sequence[tuple[str, str]], text: str) -> Sequence[tuple[str, str]]:
    place = bisect_left(entries, (text, ""))
    return entries[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]


def resemblance(one: str, other: str) -> float:
    """Returns the part of the longer text that both have at their beginnings and their ends."""
    if one == other:
        return 1.0
    begin = _count_common(one, other)
    end = _count_common(one[begin:][::-1], other[begin:][::-1])
    return (begin + end) / max(len(one), len(other))


def _count_common(one: str, other: str) -> int:
    """Returns how many characters both texts begin with, by halves and so in few steps."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
