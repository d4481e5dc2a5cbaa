"""Tracebacks as the author of a handler wants them: of the author's own code."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)

#: Before the author's code come the executor, and what Python imports a module with.
_OURS = ("fabric_jobs.executor", "importlib")


def authored(raised: E) -> E:
    """The exception, whose traceback begins where the author's code was called."""
    traceback = raised.__traceback__
    while traceback and _is_ours(traceback.tb_frame.f_globals):
        traceback = traceback.tb_next
    return raised.with_traceback(traceback)


def _is_ours(names: dict[str, object]) -> bool:
    """Whether a frame's module belongs to one of these packages."""
    package = f"{names.get('__package__')}."
    return package.startswith(tuple(f"{ours}." for ours in _OURS))
