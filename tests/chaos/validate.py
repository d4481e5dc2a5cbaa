"""All validators, by the names of their breaches in the report."""

from collections.abc import Callable, Iterator

from tests.chaos import answers, linearizability, promises
from tests.chaos.evidence import Evidence

Validator = Callable[[Evidence], Iterator[str]]

VALIDATORS: dict[str, Validator] = {
    "lost": promises.lost,
    "doubly_final": answers.doubly_final,
    "double_grants": promises.double_grants,
    "never_final": promises.never_final,
    "ungranted": promises.ungranted,
    "superseded": promises.superseded,
    "forked": promises.forked,
    "wrong_ends": promises.wrong_ends,
    "without_run": promises.without_run,
    "not_linearizable": linearizability.not_linearizable,
    "not_of_the_log": answers.not_of_the_log,
    "ran_after_cancel": answers.ran_after_cancel,
    "wrong_answers": answers.wrong_answers,
}


def validate(evidence: Evidence) -> dict[str, list[str]]:
    """The breaches that each validator finds."""
    return {name: list(validator(evidence)) for name, validator in VALIDATORS.items()}
