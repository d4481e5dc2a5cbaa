"""Finds which sealing keys the topics still need, for `fabric-jobs check`."""

import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord
from msgspec import Struct

from fabric_jobs.contract import events, grants
from fabric_jobs.contract.events import NotAnEventError
from fabric_jobs.facade.log import scan_topic
from fabric_jobs.facade.sealing import DamagedError
from fabric_jobs.facade.sealing.events import find_key_ids
from fabric_jobs.facade.sealing.sealer import split_sealed
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.runtime.settings import variable

#: Seconds that one topic is read. Records that are left then are not looked at.
MAX_SCAN_S = 20.0


class KeyUse(Struct):
    """Which keys the records need that replicas still know."""

    #: By key id, the time of the last record that needs the key.
    last_used: dict[str, datetime]
    #: The records that were not read in time.
    left: int = 0

    def note(self, found: Iterable[str], record: ConsumerRecord) -> None:
        """Notes that the record needs these keys."""
        used = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        for key_id in found:
            self.last_used[key_id] = max(used, self.last_used.get(key_id, used))


async def find_key_use(settings: FacadeSettings) -> KeyUse:
    """Reads the records of jobs that replicas still know, and the users' grants.

    Raises what `scan_topic` raises.
    """
    use = KeyUse({})
    await _scan(settings, settings.events_topic, _keys_of_event, use)
    if settings.gets_user_tokens:
        await _scan(settings, settings.grants_topic, _keys_of_grant, use)
    return use


def describe_key_use(settings: FacadeSettings, key_ids: list[str], use: KeyUse) -> tuple[bool, str]:
    """Whether every key is there that is needed; and what each key is needed for, as text."""
    retention = settings.lifetime.retention
    until = {
        key_id: f"{used + retention:%Y-%m-%d %H:%M} UTC" for key_id, used in use.last_used.items()
    }
    missing = sorted(until.keys() - set(key_ids))
    lines = [
        f"Add the key {key_id} to {variable('sealing_keys')}: jobs need it until {until[key_id]}."
        for key_id in missing
    ]
    for number, key_id in enumerate(key_ids):
        if key_id in until:
            lines.append(
                f"{key_id}: needed until {until[key_id]}, if nothing more is sealed with it"
            )
        elif number and not use.left:
            lines.append(f"{key_id}: no job needs it. Remove it, unless it will be the first key")
    if use.left:
        lines.append(
            f"{use.left:,} records were not read in {MAX_SCAN_S:.0f} s: they may need other keys."
        )
    first = f"{'seals' if settings.sealing == 'seal' else 'opens only'}; keys: {', '.join(key_ids)}"
    return not missing, "\n".join([first, *lines])


async def _scan(
    settings: FacadeSettings,
    topic: str,
    find: Callable[[ConsumerRecord], Iterable[str]],
    use: KeyUse,
) -> None:
    since = datetime.now(UTC) - settings.lifetime.retention
    begun = time.monotonic()
    async with aclosing(scan_topic(settings, topic, since)) as batches:
        async for records, left in batches:
            for record in records:
                use.note(find(record), record)
            if time.monotonic() - begun > MAX_SCAN_S:
                use.left += left
                return


def _keys_of_event(record: ConsumerRecord) -> Iterable[str]:
    try:
        return find_key_ids(events.decode_record(record.key, record.value))
    except NotAnEventError:
        return ()


def _keys_of_grant(record: ConsumerRecord) -> Iterable[str]:
    grant = grants.decode_record(record.key, record.value)
    try:
        return (split_sealed(grant.sealed)[0],) if grant and grant.sealed else ()
    except DamagedError:
        return ()
