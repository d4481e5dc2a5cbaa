"""A stub of the facade, for the tests of commands on the gRPC status API."""

from collections.abc import Iterator

import pytest

from tests.support.stub_facade import StubFacade, start_stub_facade


@pytest.fixture
def stub() -> Iterator[StubFacade]:
    """A running stub of the facade."""
    with start_stub_facade() as stub:
        yield stub
