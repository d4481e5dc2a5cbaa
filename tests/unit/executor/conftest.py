"""What the executor's tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.fake_facade import FakeFacade, serving


@pytest.fixture
async def facade() -> AsyncIterator[FakeFacade]:
    """A facade that accepts everything."""
    facade = FakeFacade()
    async with serving(facade):
        yield facade
