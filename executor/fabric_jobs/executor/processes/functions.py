"""How a process finds a handler's function and the lifespan: by the module and the name."""

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any, cast

from fabric_jobs.executor.errors import HandlerDefinitionError
from fabric_jobs.executor.handlers import Handler
from fabric_jobs.executor.lifespan import Lifespan
from fabric_jobs.executor.processes.messages import Function, ObjectName


def function_of(handler: Handler) -> Function:
    """Returns the names of the handler's function.

    Raises `HandlerDefinitionError` if a process could not import the function by these names.
    """
    name = _name_of(handler.function)
    if reason := _why_not_found(handler.function, name):
        raise HandlerDefinitionError(f'{name.qualname} can\'t run with run_in="process": {reason}.')
    return Function(
        item_type=handler.item_type,
        job_type=handler.job_type,
        module=name.module,
        qualname=name.qualname,
    )


def lifespan_name(lifespan: Lifespan[Any]) -> ObjectName:
    """Returns the names of the lifespan.

    Raises `HandlerDefinitionError` if a process could not import the lifespan by these names.
    """
    name = _name_of(lifespan)
    if reason := _why_not_found(lifespan, name):
        raise HandlerDefinitionError(
            f"The lifespan {name.qualname} can't be opened for handlers with "
            f'run_in="process": {reason}.'
        )
    return name


def import_object(wanted: ObjectName) -> Callable[..., Any]:
    """Imports a function or a class. Raises what the import raises, or `AttributeError`."""
    found: Any = importlib.import_module(wanted.module)
    for name in wanted.qualname.split("."):
        found = getattr(found, name)
    return cast("Callable[..., Any]", found)


def _name_of(wanted: Callable[..., object]) -> ObjectName:
    module = getattr(wanted, "__module__", "")
    return ObjectName(module=module, qualname=getattr(wanted, "__qualname__", repr(wanted)))


def _why_not_found(wanted: Callable[..., object], name: ObjectName) -> str:
    """Returns why a process could not import the object by this name. Empty if it could."""
    if name.module == "__main__":
        return (
            "it is in the main program, which a process can't import. Move it to a module, and "
            "start the executor with `python -m fabric_jobs.executor MODULE:EXECUTOR`"
        )
    if "<" in name.qualname:
        return (
            "it is a lambda or a nested function, or has no name of its own. Define it with `def` "
            "at the top level of its module"
        )
    if inspect.ismethod(wanted):
        return (
            "it is bound to an object, which a process can't import. Define a function that calls "
            "it at the top level of its module"
        )
    found: Any = sys.modules.get(name.module)
    for part in name.qualname.split("."):
        found = getattr(found, part, None)
    if found is not wanted:
        return (
            f"{name.module}.{name.qualname} is another object. Give each function a name of its "
            "own, and let @executor.job be the outermost decorator"
        )
    return ""
