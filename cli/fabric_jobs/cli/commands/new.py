"""`fabric-jobs new`: a project of one's own, from the one in `cli/template`."""

import re
import shutil
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from fabric_jobs.cli.errors import CommandError, InputError

#: The template is a project of this name, which every file says in one of these forms.
TEMPLATE_NAME = "my-workload"
#: The item type, which has the name in it, must be one that Fabric's calls may name.
MAX_CHARS = 40


def new(name: str) -> Path:
    """Makes the project's folder here, and returns it. Raises `InputError` and `CommandError`."""
    folder = Path(name)
    _check(name, folder)
    try:
        folder.mkdir()
        for file in _files():
            text = file.read_text(encoding="utf-8")
            (folder / _renamed(file.name, name)).write_text(_renamed(text, name), encoding="utf-8")
    except OSError as error:
        # What there is of it would be in the way of the next try.
        shutil.rmtree(folder, ignore_errors=True)
        raise CommandError(f"{name} can't be made: {error.strerror}.") from error
    return folder


def module_of(name: str) -> str:
    """The name of the project's module."""
    return name.replace("-", "_")


def _files() -> list[Traversable]:
    template = files("fabric_jobs.cli") / "template"
    return [file for file in template.iterdir() if file.is_file()]


def _check(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > MAX_CHARS:
        raise InputError(
            f"{name!r} is no name for a project: take lower-case words and digits, with hyphens "
            f"between them, {MAX_CHARS} characters at most, such as {TEMPLATE_NAME}."
        )
    # Before its module: Python takes a folder on its path for one.
    if folder.exists():
        raise InputError(f"{name} is there already: take another name, or move it.")
    module = module_of(name)
    if iskeyword(module) or find_spec(module) is not None:
        raise InputError(f"{module} is taken by a module of Python's or a package's: add a word.")


def _renamed(text: str, name: str) -> str:
    words = name.split("-")
    text = text.replace(TEMPLATE_NAME, name)
    text = text.replace(module_of(TEMPLATE_NAME), module_of(name))
    return text.replace("MyWorkload", "".join(map(str.capitalize, words)))
