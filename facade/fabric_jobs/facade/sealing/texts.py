"""Seals and opens the texts of errors and progress, which are parts of a job's state."""

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from fabric_jobs.contract.errors import ErrorExtendedInformation, ErrorResponse, NameValuePair
from fabric_jobs.contract.jobs import JobState, Progress
from fabric_jobs.facade.sealing.place import Place
from fabric_jobs.facade.sealing.sealer import Purpose


class _ErrorTexts(Struct, array_like=True, frozen=True):
    """What is sealed of an error. Its code, its source and whether it is permanent are not."""

    message: str
    message_parameters: tuple[str, ...]
    additional_parameters: tuple[NameValuePair, ...] = ()


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_ErrorTexts)


def seal_state(place: Place, state: JobState) -> JobState:
    """Returns the state with its texts sealed; what is sealed already stays as it is."""
    error, progress = state.error, state.progress
    if error:
        error = seal_error(place, error)
    if progress and progress.message:
        sealed = place.seal(Purpose.PROGRESS, progress.message.encode())
        progress = Progress(progress.fraction, sealed=sealed)
    if error is state.error and progress is state.progress:
        return state
    return replace(state, error=error, progress=progress)


def open_state(place: Place, state: JobState) -> JobState:
    """Returns the state with its texts opened, or with sentences that say why they stay sealed."""
    error, progress = state.error, state.progress
    if error:
        error = open_error(place, error)
    if progress:
        progress = open_progress(place, progress)
    if error is state.error and progress is state.progress:
        return state
    return replace(state, error=error, progress=progress)


def open_progress(place: Place, progress: Progress) -> Progress:
    """Returns the progress with its text opened, or with a sentence why it stays sealed."""
    if progress.sealed is UNSET:
        return progress
    return Progress(progress.fraction, place.open_text(Purpose.PROGRESS, progress.sealed))


def seal_error(place: Place, error: ErrorResponse) -> ErrorResponse:
    """Returns the error with its texts and those of its details sealed."""
    details = tuple(_seal_detail(place, detail) for detail in error.more_details)
    if error.sealed is not None:
        return error if details == error.more_details else replace(error, more_details=details)
    texts = _ErrorTexts(error.message, error.message_parameters)
    sealed = place.seal(Purpose.ERROR, _ENCODER.encode(texts))
    return replace(error, message="", message_parameters=(), more_details=details, sealed=sealed)


def _seal_detail(place: Place, detail: ErrorExtendedInformation) -> ErrorExtendedInformation:
    if detail.sealed is not None:
        return detail
    texts = _ErrorTexts(detail.message, detail.message_parameters, detail.additional_parameters)
    sealed = place.seal(Purpose.ERROR, _ENCODER.encode(texts))
    return ErrorExtendedInformation(error_code=detail.error_code, message="", sealed=sealed)


def open_error(place: Place, error: ErrorResponse) -> ErrorResponse:
    """Returns the error with its texts opened, or with sentences that say why they stay sealed."""
    details = tuple(_open_detail(place, detail) for detail in error.more_details)
    if error.sealed is None:
        return error if details == error.more_details else replace(error, more_details=details)
    texts = _open_texts(place, error.sealed)
    return replace(
        error,
        message=texts.message,
        message_parameters=texts.message_parameters,
        more_details=details,
        sealed=None,
    )


def _open_detail(place: Place, detail: ErrorExtendedInformation) -> ErrorExtendedInformation:
    if detail.sealed is None:
        return detail
    texts = _open_texts(place, detail.sealed)
    return replace(
        detail,
        message=texts.message,
        message_parameters=texts.message_parameters,
        # The number of the attempt that failed was added to an error that was sealed already.
        additional_parameters=(*texts.additional_parameters, *detail.additional_parameters),
        sealed=None,
    )


def _open_texts(place: Place, sealed: str) -> _ErrorTexts:
    plain = place.try_open(Purpose.ERROR, sealed)
    return _ErrorTexts(place.sentence, ()) if plain is None else _DECODER.decode(plain)
