"""The names of job types in messages, with the nearest ones first."""

from collections.abc import Iterator

import pytest

from fabric_jobs.contract.heartbeats import MAX_JOB_TYPES, JobKind
from fabric_jobs.facade.controls import kind_names
from fabric_jobs.facade.controls.kind_names import NEIGHBOURS, list_names

#: Types whose names differ by their ends, or by their beginnings.
SERVED = frozenset(
    JobKind(f"Contoso.Item{number % 10}", f"calculateForecast{number}")
    for number in range(MAX_JOB_TYPES)
)


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Keeps the pairs of names that are compared."""
    pairs = list[tuple[str, str]]()
    compare = kind_names.resemblance

    def count(one: str, other: str) -> float:
        pairs.append((one, other))
        return compare(one, other)

    kind_names._index.cache_clear()
    monkeypatch.setattr(kind_names, "resemblance", count)
    yield pairs
    kind_names._index.cache_clear()


@pytest.mark.parametrize(
    ("item_type", "job_type"),
    [
        pytest.param("Contoso.Item7", "calculateForcast17", id="a letter is missing"),
        pytest.param("Contoso.Item7", "calculateForecats17", id="letters are swapped"),
        pytest.param("Contoso.Item7", "alculateForecast17", id="the first letter is missing"),
        pytest.param("contoso.item7", "CalculateForecast17", id="another letter case"),
        pytest.param("Item7", "calculateForecast17", id="the prefix of the item type is missing"),
        pytest.param("Contoso.Item7", "calculateForecast17x", id="a letter too many"),
        pytest.param("ontoso.Item7", "calculateForecast17", id="the item type is misspelt"),
    ],
)
def test_misspelt_name_leads_to_the_name_that_was_meant(item_type: str, job_type: str) -> None:
    """It comes first among 400 similar names."""
    listed = list_names(SERVED, JobKind(item_type, job_type))

    assert listed.startswith("Contoso.Item7 calculateForecast17, ")
    assert listed.endswith(" and 395 more")


def test_names_that_resemble_nothing_are_in_the_order_of_the_alphabet() -> None:
    """No name is a guess then."""
    kinds = [JobKind("Item", job_type) for job_type in ("c", "a", "b")]

    assert list_names(kinds, JobKind("unlike", "anything")) == "Item a, Item b, Item c"


def test_names_that_differ_by_their_letter_case_are_all_listed() -> None:
    """Job types differ by their letter case."""
    kinds = [JobKind("Item", "run"), JobKind("Item", "Run")]

    assert list_names(kinds, JobKind("item", "run")) == "Item Run, Item run"


def test_each_name_is_compared_with_few_others_whatever_their_number(
    comparisons: list[tuple[str, str]],
) -> None:
    """The bound of one hello is 400 types; a page may list 1,000 jobs of as many types."""
    for number in range(1000):
        list_names(SERVED, JobKind("Contoso.Item", f"calculateForcast{number}"))

    assert 0 < len(comparisons) <= 1000 * 4 * NEIGHBOURS


def test_second_job_of_a_type_needs_no_comparison(comparisons: list[tuple[str, str]]) -> None:
    """Also for an equal set of types: the roster makes a new one for each page."""
    near = JobKind("Contoso.Item7", "calculateForcast17")
    first = list_names(SERVED, near)
    compared = len(comparisons)
    again = list_names(frozenset(list(SERVED)), near)

    assert again == first
    assert 0 < compared == len(comparisons)


def test_names_of_another_set_of_types_are_compared_again(
    comparisons: list[tuple[str, str]],
) -> None:
    """An executor with the type that was meant has connected."""
    near = JobKind("Item", "rum")

    assert list_names({JobKind("Item", "walk")}, near) == "Item walk"
    assert list_names({JobKind("Item", "walk"), JobKind("Item", "run")}, near) == (
        "Item run, Item walk"
    )
    assert ("item rum", "item run") in comparisons


def test_kept_texts_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs may have any number of types that nobody serves."""
    monkeypatch.setattr(kind_names, "MAX_TEXTS", 10)
    index = kind_names._NameIndex(SERVED)
    for number in range(25):
        index.list_names(f"Item {number}")

    assert len(index._texts) == 5
