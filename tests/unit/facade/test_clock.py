"""The broker's time, over steps of this machine's wall clock."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from fabric_jobs.facade import clock as clock_module
from fabric_jobs.facade.clock import Clock, offset

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
STEPS = [timedelta(hours=2), timedelta(hours=-2), timedelta(seconds=10), timedelta(seconds=-10)]


class Machine:
    """The clocks of a machine, which stand still until a test moves them."""

    def __init__(self) -> None:
        self.wall = START
        self.monotonic = 100.0

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that the clock under test is on."""
    machine = Machine()
    monkeypatch.setattr(clock_module, "utc_now", lambda: machine.wall)
    monkeypatch.setattr(time, "monotonic", lambda: machine.monotonic)
    return machine


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_clock_goes_on_when_the_wall_clock_steps(machine: Machine, step: timedelta) -> None:
    """Nothing is decided by the stepped time, at no moment."""
    clock = Clock()
    machine.wait(5)
    machine.wall += step

    assert clock.now() == START + timedelta(seconds=5)
    assert clock.is_right is (abs(step) < timedelta(seconds=30))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_clock_keeps_the_broker_s_time_after_a_step(machine: Machine, step: timedelta) -> None:
    """The broker recorded the heartbeat in the middle of its two milliseconds."""
    clock = Clock()
    machine.wall += step
    clock.note_written(machine.wall)
    written = machine.wall
    machine.wait(0.002)
    clock.confirm(written, START + timedelta(milliseconds=1))

    assert abs(clock.now() - START) <= timedelta(milliseconds=3)
    assert clock.is_right is (abs(step) < timedelta(seconds=30))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_clock_keeps_its_time_when_the_step_comes_while_a_heartbeat_is_written(
    machine: Machine, step: timedelta
) -> None:
    """How long the write took is measured by the monotonic clock."""
    clock = Clock()
    written = machine.wall
    clock.note_written(written)
    machine.wait(1)
    machine.wall += step
    clock.confirm(written, START + timedelta(seconds=0.5))

    assert abs(clock.now() - START) <= timedelta(seconds=1.5)


def test_clock_is_right_again_as_soon_as_the_wall_clock_is(machine: Machine) -> None:
    """No heartbeat is needed for it."""
    clock = Clock()
    machine.wall += timedelta(hours=2)
    assert not clock.is_right

    machine.wall -= timedelta(hours=2)

    assert clock.is_right


def test_clock_follows_the_wall_clock_while_the_broker_agrees(machine: Machine) -> None:
    """A machine whose clock is slewed stays right."""
    clock = Clock()
    machine.wait(5)
    machine.wall += timedelta(milliseconds=3)
    written = machine.wall
    clock.note_written(written)
    machine.wait(0.01)
    clock.confirm(written, written + timedelta(milliseconds=5))

    assert clock.now() == machine.wall


def test_heartbeat_that_a_later_one_overtook_confirms_nothing(machine: Machine) -> None:
    """Its time of writing is no longer known."""
    clock = Clock()
    first = machine.wall
    clock.note_written(first)
    machine.wait(5)
    clock.note_written(machine.wall)
    clock.confirm(first, START - timedelta(hours=1))

    assert clock.now() == machine.wall


def test_heartbeat_delayed_on_its_way_leaves_the_clock_right(machine: Machine) -> None:
    """The broker's time only has to lie between writing and reading."""
    clock = Clock()
    written = machine.wall
    clock.note_written(written)
    machine.wait(300)
    clock.confirm(written, START + timedelta(seconds=120))

    assert clock.is_right
    assert clock.now() == machine.wall


@pytest.mark.parametrize(
    ("recorded_s", "expected_s"), [(0, 0), (1, 0), (2, 0), (-3, -3), (7, 5)], ids=str
)
def test_offset_is_the_least_that_agrees_with_the_broker(recorded_s: int, expected_s: int) -> None:
    """Written at 0 s and read at 2 s."""
    read, recorded = START + timedelta(seconds=2), START + timedelta(seconds=recorded_s)

    assert offset(START, recorded, read) == timedelta(seconds=expected_s)
