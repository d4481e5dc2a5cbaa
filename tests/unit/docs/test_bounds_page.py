"""docs/bounds.md is generated, and names every bound of an event."""

from msgspec import inspect

from docs import bounds
from fabric_jobs.contract import events, jobs


def test_bounds_page_equals_the_generated_one() -> None:
    """`make docs` changes nothing."""
    assert bounds.PAGE.read_text(encoding="utf-8") == bounds.page()


def test_bounds_page_every_number_text_time_and_list_of_an_event_has_a_bound() -> None:
    """A new field without a bound would be a fault: a record could hold anything there."""
    unbounded = set[str]()
    for kind in (*events.KnownEvent.__args__, events.UnknownEvent):
        _find_unbounded(inspect.type_info(kind), "", unbounded)

    assert unbounded == set()


def _find_unbounded(info: inspect.Type, place: str, found: set[str]) -> None:
    """Adds the places of the types that have no upper bound."""
    match info:
        case inspect.StructType():
            for field in info.fields:
                _find_unbounded(field.type, f"{place}.{field.encode_name}", found)
        case inspect.UnionType():
            for one in info.types:
                _find_unbounded(one, place, found)
        case inspect.VarTupleType():
            if info.max_length is None:
                found.add(place)
            _find_unbounded(info.item_type, f"{place}[]", found)
        case inspect.Metadata():
            _find_unbounded(info.type, place, found)
        case inspect.StrType() if info.max_length is None:
            found.add(place)
        case inspect.IntType() | inspect.FloatType() if info.le is None or (
            info.ge is None and info.gt is None
        ):
            found.add(place)
        case inspect.DateTimeType():
            # msgspec can't bound a time: test_bounds.py tries each.
            assert place.rpartition(".")[2] in {"time", *TIMES}
        case inspect.AnyType() | inspect.BytesType() | inspect.DictType() | inspect.ListType():
            found.add(place)


TIMES = {
    field.encode_name
    for field in inspect.type_info(jobs.JobState).fields  # type: ignore[attr-defined]
    if field.encode_name.endswith("Time")
}
