"""Facades and an executor on Apache Kafka, for the tests of one file."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.brokers import Cluster
from tests.support.programs import HANDLERS, Program, executor, facade


@pytest.fixture(scope="module")
def environment(apache: Cluster) -> dict[str, str]:
    """The settings of the broker, with a topic and a pool for this file."""
    return apache.environment(f"test.{uuid.uuid4()}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(environment: dict[str, str]) -> AsyncIterator[tuple[Program, Program]]:
    """Two facade replicas on one log."""
    async with facade(**environment) as one, facade(**environment) as two:
        yield one, two


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(
    environment: dict[str, str], replicas: tuple[Program, Program]
) -> AsyncIterator[Program]:
    """An executor that may report to either replica."""
    async with executor(HANDLERS, *replicas, **environment) as running:
        yield running
