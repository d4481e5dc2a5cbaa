"""Puts the simulated world in the place of clocks, ids, clients and servers of the product.

The modules of the product refer to what they imported by names. Each name of a module that refers
to one of these things refers to its substitute while the simulation is installed, whatever the
module is called. So no part of the product is made for the simulation.
"""

import datetime as datetime_module
import sys
import time as time_module
import uuid as uuid_module
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from types import FunctionType
from typing import Any

from tests.simulation.loop import PLACE, SimulatedLoop

#: The true time at which each world begins, in seconds since 1970: the beginning of 2030.
EPOCH_S = 1_893_456_000.0


class Clock:
    """The clocks of the running world, and its source of ids."""

    def __init__(self) -> None:
        self.loop: SimulatedLoop | None = None
        self.dice = Random(0)

    def monotonic(self) -> float:
        """Returns the seconds since the world began."""
        return self.loop.time() if self.loop else time_module.monotonic()

    def true_time(self) -> float:
        """Returns the seconds since 1970 of a right clock."""
        return EPOCH_S + self.monotonic()

    def wall_time(self) -> float:
        """Returns the seconds since 1970 by the clock of the running node."""
        if self.loop is None:
            return time_module.time()
        place = PLACE.get()
        return self.true_time() + (place.clock.error_s(self.monotonic()) if place else 0.0)

    def uuid4(self) -> uuid_module.UUID:
        """Returns a random id of the world."""
        if self.loop is None:
            return uuid_module.uuid4()
        return uuid_module.UUID(int=self.dice.getrandbits(128), version=4)


CLOCK = Clock()


class _Time:
    """Stands for the module `time`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time_module, name)

    def monotonic(self) -> float:
        return CLOCK.monotonic()

    perf_counter = monotonic

    def time(self) -> float:
        return CLOCK.wall_time()


class _Datetime:
    """Stands for the class `datetime`."""

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        return datetime_module.datetime(*args, **arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime_module.datetime, name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, datetime_module.datetime)

    def now(self, tz: datetime_module.tzinfo | None = None) -> datetime_module.datetime:
        return datetime_module.datetime.fromtimestamp(CLOCK.wall_time(), tz)


class _Uuid:
    """Stands for the module `uuid`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(uuid_module, name)

    def uuid4(self) -> uuid_module.UUID:
        return CLOCK.uuid4()


_time = _Time()
CLOCKS: dict[object, object] = {
    time_module: _time,
    time_module.monotonic: _time.monotonic,
    time_module.time: _time.time,
    datetime_module.datetime: _Datetime(),
    uuid_module: _Uuid(),
    uuid_module.uuid4: CLOCK.uuid4,
}


@contextmanager
def substituted(
    substitutes: Mapping[Any, Any], packages: tuple[str, ...] = ("fabric_jobs.",)
) -> Iterator[None]:
    """Replaces these objects, wherever a module of these packages names them, for a block."""
    undo: list[Callable[[], None]] = []
    by_id = {id(original): (original, new) for original, new in substitutes.items()}
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(packages) or name.startswith("fabric_jobs.status"):
            continue
        for key, value in list(vars(module).items()):
            if found := by_id.get(id(value)):
                undo.append(_set(module, key, found[1]))
            elif isinstance(value, type) and value.__module__ == name:
                undo += _replace_defaults(value, by_id)
    try:
        yield
    finally:
        for one in reversed(undo):
            one()


def _set(owner: Any, name: str, value: object) -> Callable[[], None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)


def _replace_defaults(
    owner: type, by_id: Mapping[int, tuple[object, object]]
) -> list[Callable[[], None]]:
    """Replaces default arguments of a class's functions, such as a clock."""
    undo = []
    for function in vars(owner).values():
        if not isinstance(function, FunctionType) or not function.__defaults__:
            continue
        if any(id(value) in by_id for value in function.__defaults__):
            new = tuple(
                by_id[id(value)][1] if id(value) in by_id else value
                for value in function.__defaults__
            )
            undo.append(_set(function, "__defaults__", new))
    return undo
