"""Seals and opens the secrets of an event."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import UNSET, Raw
from msgspec.structs import replace

from fabric_jobs.contract.events import (
    AttemptFailedData,
    CheckpointedData,
    Dispatch,
    Event,
    FailedData,
)
from fabric_jobs.facade.sealing.errors import DamagedError
from fabric_jobs.facade.sealing.place import Place
from fabric_jobs.facade.sealing.sealer import Purpose, key_id_of_hash, split_sealed
from fabric_jobs.facade.sealing.texts import open_error, open_state, seal_error, seal_state

_NULL = Raw(b"null")
E_co = TypeVar("E_co", bound=Event)


def seal_event(place: Place, event: E_co) -> E_co:
    """Returns the event with its secrets sealed; what is sealed already stays as it is."""
    data = event.data
    changes: dict[str, Any] = {}
    if (state := seal_state(place, data.state)) is not data.state:
        changes["state"] = state
    if data.dispatch is not UNSET:
        changes["dispatch"] = _seal_dispatch(place, data.dispatch)
    if isinstance(data, CheckpointedData) and data.sealed_checkpoint is UNSET:
        sealed = place.seal(Purpose.CHECKPOINT, bytes(data.checkpoint))
        changes |= {"checkpoint": _NULL, "sealed_checkpoint": sealed}
    if isinstance(data, FailedData):
        if data.traceback:
            sealed = place.seal(Purpose.TRACEBACK, data.traceback.encode())
            changes |= {"traceback": UNSET, "sealed_traceback": sealed}
        if data.log_tail:
            sealed = place.seal(Purpose.LOG_TAIL, data.log_tail.encode())
            changes |= {"log_tail": UNSET, "sealed_log_tail": sealed}
    if isinstance(data, AttemptFailedData):
        changes["error"] = seal_error(place, data.error)
    return _with_data(event, changes)


def open_event(place: Place, event: Event) -> Event:
    """Returns the event with its texts opened, or with sentences that say why they stay sealed.

    A checkpoint that stays sealed is `null`. The content of a dispatch is left as it is.
    """
    data = event.data
    changes: dict[str, Any] = {}
    if (state := open_state(place, data.state)) is not data.state:
        changes["state"] = state
    if isinstance(data, CheckpointedData) and data.sealed_checkpoint is not UNSET:
        plain = place.try_open(Purpose.CHECKPOINT, data.sealed_checkpoint) or b"null"
        changes |= {"checkpoint": Raw(plain), "sealed_checkpoint": UNSET}
    if isinstance(data, FailedData):
        if data.sealed_traceback is not UNSET:
            text = place.open_text(Purpose.TRACEBACK, data.sealed_traceback)
            changes |= {"traceback": text, "sealed_traceback": UNSET}
        if data.sealed_log_tail is not UNSET:
            text = place.open_text(Purpose.LOG_TAIL, data.sealed_log_tail)
            changes |= {"log_tail": text, "sealed_log_tail": UNSET}
    if isinstance(data, AttemptFailedData):
        changes["error"] = open_error(place, data.error)
    return _with_data(event, changes)


def _with_data(event: E_co, changes: dict[str, Any]) -> E_co:
    return replace(event, data=replace(event.data, **changes)) if changes else event


def _seal_dispatch(place: Place, dispatch: Dispatch) -> Dispatch:
    changes: dict[str, Any] = {}
    if dispatch.sealed_payload is UNSET:
        sealed = place.seal(Purpose.PAYLOAD, bytes(dispatch.payload))
        changes |= {"payload": _NULL, "sealed_payload": sealed}
    if dispatch.definition is not UNSET:
        sealed = place.seal(Purpose.DEFINITION, bytes(dispatch.definition))
        changes |= {"definition": UNSET, "sealed_definition": sealed}
    if dispatch.checkpoint is not UNSET:
        sealed = place.seal(Purpose.CHECKPOINT, bytes(dispatch.checkpoint))
        changes |= {"checkpoint": UNSET, "sealed_checkpoint": sealed}
    return replace(dispatch, **changes) if changes else dispatch


def find_key_ids(event: Event) -> set[str]:
    """The ids of the keys that are needed to open all of the event and to know its create again."""
    found = {key_id_of_hash(event.data.state.request_hash)} - {""}
    for text in sealed_texts(event):
        with suppress(DamagedError):
            found.add(split_sealed(text)[0])
    return found


def sealed_texts(event: Event) -> Iterator[str]:
    """Yields every sealed text of the event."""
    data = event.data
    state = data.state
    if state.progress and state.progress.sealed is not UNSET:
        yield state.progress.sealed
    errors = [state.error]
    if isinstance(data, AttemptFailedData):
        errors.append(data.error)
    for error in errors:
        if error:
            texts = [error.sealed, *(detail.sealed for detail in error.more_details)]
            yield from (text for text in texts if text is not None)
    if data.dispatch is not UNSET:
        dispatch = data.dispatch
        found = (dispatch.sealed_payload, dispatch.sealed_definition, dispatch.sealed_checkpoint)
        yield from (text for text in found if text is not UNSET)
    if isinstance(data, CheckpointedData) and data.sealed_checkpoint is not UNSET:
        yield data.sealed_checkpoint
    if isinstance(data, FailedData):
        if data.sealed_traceback is not UNSET:
            yield data.sealed_traceback
        if data.sealed_log_tail is not UNSET:
            yield data.sealed_log_tail
