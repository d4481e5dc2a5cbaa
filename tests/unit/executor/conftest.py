"""Fixtures of the executor's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.support.fake_facade import FakeFacade, serve


@pytest.fixture
async def facade() -> AsyncIterator[FakeFacade]:
    """A facade that accepts every claim and report."""
    facade = FakeFacade()
    async with serve(facade):
        yield facade
