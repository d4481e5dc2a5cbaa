"""`fabric-jobs new`: creates a project from the one in `cli/template`."""

import re
import shutil
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

import click

from fabric_jobs.cli.errors import CommandError, InputError

#: The name of the template project. Its files contain the name in three spellings.
TEMPLATE_NAME = "my-workload"
#: The item type contains the name, and the facade accepts item types of limited length.
MAX_NAME_CHARS = 40


@click.command("new")
@click.argument("name")
def new_command(name: str) -> None:
    """Create a project with a handler and its tests.

    NAME, such as my-workload, becomes the name of a new folder. The project also has the
    executor's settings, and a compose file that runs it on Apache Kafka.
    """
    folder = create_project(name)
    click.echo(folder)
    click.echo(
        f"Created. Next:\n  cd {folder}\n  pytest\n  fabric-jobs dev {module_name(name)}:executor",
        err=True,
    )


def create_project(name: str) -> Path:
    """Creates the project in a new folder, and returns the folder.

    Raises `InputError` if the name can't be used, and `CommandError` if a file can't be written.
    """
    folder = Path(name)
    _check(name, folder)
    try:
        folder.mkdir()
        for file in _template_files():
            text = file.read_text(encoding="utf-8")
            (folder / _rename(file.name, name)).write_text(_rename(text, name), encoding="utf-8")
    except OSError as error:
        # An incomplete folder would make the next try fail.
        shutil.rmtree(folder, ignore_errors=True)
        raise CommandError(f"{name} can't be created: {error.strerror}.") from error
    return folder


def module_name(name: str) -> str:
    """Returns the name of the project's module."""
    return name.replace("-", "_")


def _template_files() -> list[Traversable]:
    template = files("fabric_jobs.cli") / "template"
    return [file for file in template.iterdir() if file.is_file()]


def _check(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > MAX_NAME_CHARS:
        raise InputError(
            f"{name!r} is not a project name. Use lower-case words and digits with hyphens between "
            f"them, at most {MAX_NAME_CHARS} characters, such as {TEMPLATE_NAME}."
        )
    # The folder is checked first, because Python finds it as a module of the same name.
    if folder.exists():
        raise InputError(f"{name} already exists. Choose another name, or move it.")
    # In the project's folder its module would hide the other one, as fabric_jobs.py would hide all
    # of `fabric_jobs`; or the other one would hide it, as a built-in module does.
    module = module_name(name)
    if iskeyword(module) or find_spec(module) is not None:
        raise InputError(
            f"{module} is the name of a module of Python or of an installed package, or a keyword. "
            "Choose another name."
        )


def _rename(text: str, name: str) -> str:
    words = name.split("-")
    text = text.replace(TEMPLATE_NAME, name)
    text = text.replace(module_name(TEMPLATE_NAME), module_name(name))
    return text.replace("MyWorkload", "".join(map(str.capitalize, words)))
