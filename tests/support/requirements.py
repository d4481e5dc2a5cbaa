"""What a test needs of the machine, and what happens where the machine lacks it."""

import os
from typing import NoReturn

import pytest


def missing(what: str, reason: str) -> NoReturn:
    """Skip the test on a newcomer's machine; fail it in CI, which must run every test."""
    if os.environ.get("CI"):
        pytest.fail(f"no {what} in CI: {reason}")
    pytest.skip(reason)


def no_apache_kafka(reason: str) -> NoReturn:
    """Skip or fail the test as `missing` does, because no Apache Kafka can run here."""
    missing("Apache Kafka", reason)
