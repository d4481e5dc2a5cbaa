"""The registry of the known bugs, and what several of them use."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

from tests.simulation.substitutes import substituted

Patch = Callable[[], AbstractContextManager[Any]]


class Bug(NamedTuple):
    """A bug: what puts it into the product, and the module whose code it changes."""

    install: Patch
    module: str


BUGS: dict[str, Bug] = {}


def bug(name: str, changed: Any) -> Callable[[Patch], Patch]:
    """Registers a bug in a function or class under a name."""

    def register(install: Patch) -> Patch:
        BUGS[name] = Bug(install, changed.__module__)
        return install

    return register


def nothing(*_: Any, **__: Any) -> None: ...


async def nothing_async(*_: Any, **__: Any) -> None: ...


#: Unit tests call some functions themselves, so they must see the bug as the product does.
replaced_in_tests_too = partial(
    substituted, packages=("fabric_jobs.", "tests.unit.", "tests.support.")
)
