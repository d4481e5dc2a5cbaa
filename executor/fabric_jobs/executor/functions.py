"""How a process finds a handler's function: by the module and the name."""

import importlib
import sys
from collections.abc import Callable
from typing import Any, cast

from fabric_jobs.executor.errors import HandlerDefinitionError
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.process_messages import Function


def function_of(handler: Handler) -> Function:
    """Returns the names of the handler's function.

    Raises `HandlerDefinitionError` if a process could not import the function by these names.
    """
    function, name = handler.function, handler.function.__qualname__
    reason = ""
    if function.__module__ == "__main__":
        reason = (
            "it is in the main program, which a process can't import. Move it to a module, and "
            "start the executor with `python -m fabric_jobs.executor MODULE:NAME`"
        )
    elif "<" in name:
        reason = "it is a lambda or a nested function. Define it at the top level of its module"
    elif not _is_found_as(function, name):
        reason = (
            f"{function.__module__}.{name} is another object. Give each handler a name of its own, "
            "and let @executor.job be its outermost decorator"
        )
    if reason:
        raise HandlerDefinitionError(f'{name} can\'t run with run_in="process": {reason}.')
    return Function(
        item_type=handler.item_type,
        job_type=handler.job_type,
        module=function.__module__,
        qualname=name,
    )


def import_function(module: str, qualname: str) -> Callable[..., object]:
    """Imports a function. Raises what the import raises, or `AttributeError`."""
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return cast("Callable[..., object]", found)


def _is_found_as(function: Callable[..., object], qualname: str) -> bool:
    found: Any = sys.modules.get(function.__module__)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found is function
