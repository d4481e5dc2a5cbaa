"""Sorts the rows of a page by a column that its URL names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")


class UnknownColumnError(ValueError):
    """The URL names a column that the page does not have. The message lists the columns."""


class Sorting(Generic[Row]):
    """An order of rows, and the links to the other orders."""

    def __init__(self, columns: Mapping[str, Callable[[Row], Any]], sort: str) -> None:
        """`columns` has the sort key of each column. `sort` is a column's name, after `-` for the
        descending order; an empty text keeps the rows as they are.

        Raises `UnknownColumnError`.
        """
        self._column, self._descending = sort.removeprefix("-"), sort.startswith("-")
        if sort and self._column not in columns:
            raise UnknownColumnError(f"sort must be one of {', '.join(columns)}, also after `-`.")
        self._columns = columns

    def apply(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Returns the rows in this order. Rows with equal keys stay as they were."""
        if not self._column:
            return rows
        return sorted(rows, key=self._columns[self._column], reverse=self._descending)

    def other(self, column: str) -> str:
        """Returns the `sort` of a link in a column's header."""
        return f"-{column}" if column == self._column and not self._descending else column

    def direction(self, column: str) -> str:
        """Returns the value of `aria-sort` for a column."""
        if column != self._column:
            return "none"
        return "descending" if self._descending else "ascending"
