"""What the executor's tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.executor.fakes import FakeFacade, serving


@pytest.fixture
async def facade() -> AsyncIterator[FakeFacade]:
    """A facade that accepts everything."""
    facade = FakeFacade()
    async with serving(facade):
        yield facade
