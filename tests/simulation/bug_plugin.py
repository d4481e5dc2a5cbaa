"""A plugin of pytest that runs tests with a known bug in the product.

`pytest -p tests.simulation.bug_plugin --known-bug "a backoff never ends" tests/unit/facade`
"""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import Phase, settings

from tests.simulation.known_bugs import BUGS, installed_bug


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that names the bug."""
    parser.addoption(
        "--known-bug",
        required=True,
        choices=["", *sorted(BUGS)],
        help="the bug's name, or nothing: the same conditions without a bug",
    )


def pytest_configure() -> None:
    """Makes Hypothesis choose the same examples in each run, and shrink none of them."""
    settings.register_profile(
        "known-bug", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
    )
    settings.load_profile("known-bug")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Puts the bug into the product after every test module was imported."""
    name = session.config.getoption("known_bug")
    with installed_bug(name) if name else nullcontext():
        return (yield)
