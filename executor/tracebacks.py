"""Tracebacks as the author of a handler wants them: of the author's own code."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)

#: Before the author's code come the executor, and what Python imports a module with.
_OURS = ("executor", "importlib")


def authored(raised: E) -> E:
    """The exception, whose traceback begins where the author's code was called."""
    traceback = raised.__traceback__
    while traceback and _package(traceback.tb_frame.f_globals) in _OURS:
        traceback = traceback.tb_next
    return raised.with_traceback(traceback)


def _package(names: dict[str, object]) -> str:
    return str(names.get("__package__")).partition(".")[0]
