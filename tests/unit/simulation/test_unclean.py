"""Which replicas of an unclean world are blamed because they did not notice lost records."""

from collections.abc import Iterator
from random import Random

import pytest
from aiokafka import TopicPartition

from fabric_jobs.facade.log.acknowledged import Unfetched
from fabric_jobs.facade.log.reader import Record
from fabric_jobs.facade.log.verification import Verification
from fabric_jobs.facade.replica import Replica
from tests.simulation import unclean
from tests.simulation.kafka import EVENTS, KafkaCluster, Stored
from tests.simulation.kafka_clients import _record
from tests.simulation.loop import Place, SimulatedLoop
from tests.simulation.unclean import Notices

PARTITION = TopicPartition(EVENTS, 0)
KEPT, LOST, OTHER, OWN = (Stored(0, b"job", value, ()) for value in (b"1", b"2", b"3", b"4"))


class World:
    """A replica that had applied the records 0 and 1 of the partition before record 1 was lost."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.cluster = KafkaCluster(loop, Random(1), {EVENTS: 1})
        self.replica = Replica.__new__(Replica)
        self.verification = Verification(EVENTS, [PARTITION], self.replica, Unfetched())
        self.append(KEPT)
        self.append(LOST)
        self.apply(0, KEPT)
        self.apply(1, LOST)
        self.cluster.lose(PARTITION, 1)

    def append(self, stored: Stored) -> None:
        """Appends the record to the partition."""
        self.cluster.append(PARTITION, stored.key, stored.value, stored.headers)

    def apply(self, offset: int, stored: Stored) -> None:
        """Gives the record to the replica."""
        self.replica.apply([Record(0, offset, 0, stored.value)], {0: offset + 1})

    def fetch(self, offset: int, stored: Stored) -> None:
        """Makes the replica's tail take a fetched record, which it has verified."""
        self.verification.note_fetched({PARTITION: [_record(PARTITION, offset, stored)]})


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notices]:
    """Observes replicas that do nothing."""
    monkeypatch.setattr(Replica, "apply", lambda *_: None)
    monkeypatch.setattr(Replica, "reset", lambda *_: None)
    monkeypatch.setattr(unclean, "current_place", lambda: Place("facade-0", 1))
    notices = Notices()
    with notices.observe(lambda: False):
        yield notices


@pytest.fixture
def world(notices: Notices) -> Iterator[World]:
    """The replica, its partition, and the loss."""
    loop = SimulatedLoop(Random(1))
    yield World(loop)
    loop.close()


def test_replica_that_ends_before_a_fetch_from_the_loss_on_is_not_blamed(
    world: World, notices: Notices
) -> None:
    """It has applied its own acknowledged record, and fetched what was on its way."""
    world.append(OTHER)
    world.append(OWN)
    world.apply(2, OWN)
    world.fetch(0, KEPT)
    world.fetch(1, LOST)

    assert list(notices.holders) == [world.replica]
    assert notices.unnoticed == []


@pytest.mark.parametrize(("offset", "stored"), [(1, OTHER), (2, OWN)], ids=["in sight", "behind"])
def test_replica_that_fetches_a_record_from_the_loss_on_without_an_alert_is_blamed(
    world: World, notices: Notices, offset: int, stored: Stored
) -> None:
    """Behind the loss, the fetch does not bring the record in the place of the lost one."""
    world.append(OTHER)
    world.append(OWN)
    world.fetch(offset, stored)

    assert notices.unnoticed == ["facade-0"]


def test_replica_that_forgets_its_jobs_after_the_loss_without_an_alert_is_blamed(
    world: World, notices: Notices
) -> None:
    """The tail has noticed the loss, because it reads the log from its beginning."""
    world.replica.reset()

    assert notices.unnoticed == ["facade-0"]


def test_replica_whose_lost_record_was_appended_again_at_its_offset_is_not_blamed(
    world: World, notices: Notices
) -> None:
    """The log has all that the replica has applied."""
    world.append(LOST)
    world.append(OTHER)
    world.fetch(1, LOST)
    world.fetch(2, OTHER)

    assert notices.unnoticed == []


def test_notices_of_a_loss_name_the_record_in_its_place_and_no_record_behind_it(
    world: World, notices: Notices
) -> None:
    """A replica that had applied the lost record lacks the record in its place for a while."""
    assert notices.replaced_by == []
    world.append(OTHER)
    world.append(OWN)

    assert notices.replaced_by == [OTHER.value]
