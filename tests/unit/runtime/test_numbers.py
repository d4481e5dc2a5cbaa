"""Whole numbers in texts that anybody may have written."""

import pytest

from fabric_jobs.runtime.numbers import parse_whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_parse_whole_number_of_1_to_18_digits_returns_the_number(text: str, number: int) -> None:
    """Zeros may lead."""
    assert parse_whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "+1", "1.0", "1_0", " 1", "1\n", "²", "٣", "9" * 19, "9" * 5000]
)
def test_parse_whole_number_of_any_other_text_returns_none(text: str) -> None:
    """No text raises an error, also not one with more digits than Python converts."""
    assert parse_whole_number(text) is None
