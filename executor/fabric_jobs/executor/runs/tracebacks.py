"""Tracebacks for the author of a handler: they show the author's code only."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)

#: The packages whose frames come before the author's code: the executor calls the handlers, and
#: importlib imports the author's module.
_HIDDEN_PACKAGES = ("fabric_jobs.executor", "importlib")


def strip_executor_frames(raised: E) -> E:
    """Returns the exception with a traceback that begins at the author's first frame."""
    traceback = raised.__traceback__
    while traceback and _is_hidden(traceback.tb_frame.f_globals):
        traceback = traceback.tb_next
    return raised.with_traceback(traceback)


def _is_hidden(module_globals: dict[str, object]) -> bool:
    """Returns true if the module with these globals belongs to one of the hidden packages."""
    package = f"{module_globals.get('__package__')}."
    return package.startswith(tuple(f"{hidden}." for hidden in _HIDDEN_PACKAGES))
