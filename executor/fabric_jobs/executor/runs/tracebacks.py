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


def drop_tracebacks(raised: BaseException) -> None:
    """Drops the tracebacks of the exception, of its causes and of its members.

    The frames of a traceback hold the handler's variables, such as a large table. The exception is
    part of reference cycles, so the variables would stay until the garbage collector runs.
    """
    left: list[BaseException | None] = [raised]
    seen = set[int]()
    while left:
        error = left.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        BaseException.with_traceback(error, None)
        left += [error.__cause__, error.__context__]
        if isinstance(error, BaseExceptionGroup):
            left += error.exceptions


def _is_hidden(module_globals: dict[str, object]) -> bool:
    """Returns true if the module with these globals belongs to one of the hidden packages."""
    package = f"{module_globals.get('__package__')}."
    return package.startswith(tuple(f"{hidden}." for hidden in _HIDDEN_PACKAGES))
