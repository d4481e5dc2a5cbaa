"""Settings from the environment: `FABRIC_JOBS_` and the field's name in capitals, or from files."""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from fabric_jobs.runtime.settings import value_types
from fabric_jobs.runtime.settings.errors import SettingsError

log = logging.getLogger("fabric_jobs.settings")

PREFIX = "FABRIC_JOBS_"
#: After a variable's name: the path of a file that holds the value.
FILE = "_FILE"
#: How alike a name must be to that of a setting to be taken for it misspelled.
CLOSE = 0.94


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


class Variable(NamedTuple):
    """The environment variable of a setting."""

    name: str
    field: str
    type: Any
    default: Any

    @property
    def example(self) -> str:
        """A value that would do."""
        return value_types.example(self.type) or value_types.write(self.default)

    def read(self, environ: Mapping[str, str]) -> Any:
        """The value, or the default where none is given. Raises `SettingsError`."""
        text, path = environ.get(self.name), environ.get(self.name + FILE)
        if text and path:
            raise SettingsError(f"{self.name} and {self.name}{FILE} are both set: leave one out.")
        if path:
            # What it holds may be a secret, and isn't shown.
            text, told = self._content(path), f"What {self.name}{FILE}={path!r} holds"
        elif text:
            told = f"{self.name}={text!r}"
        else:
            return self.default
        try:
            return value_types.read(self.type, text)
        except ValueError as error:
            raise SettingsError(
                f"{told} is not {value_types.words(self.type)}; {self.example} would do."
            ) from error

    def _content(self, path: str) -> str:
        try:
            text = Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise SettingsError(
                f"{self.name}{FILE}={path!r} can't be read ({why}): name a file that holds the "
                "value, such as /run/secrets/value."
            ) from error
        if not text:
            raise SettingsError(f"{self.name}{FILE}={path!r} is empty: write the value into it.")
        return text


T = TypeVar("T", bound=Struct)


def variables(settings: type[Struct]) -> list[Variable]:
    """The variables of a program's settings, in the order of its fields."""
    return [
        Variable(variable(field.name), field.name, field.type, field.default)
        for field in msgspec.structs.fields(settings)
    ]


def from_env(settings: type[T], environ: Mapping[str, str]) -> T:
    """The settings with what the environment says; an empty value stands for the default.

    The values of a list are separated by commas. Raises `SettingsError`, naming the variable and
    a value that would do.
    """
    for warning in misspelled(settings, environ):
        log.warning(warning)
    return settings(**{each.field: each.read(environ) for each in variables(settings)})


def misspelled(settings: type[Struct], environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that is all but one of these settings.

    Other programs share the prefix, so what is merely unknown is not told of.
    """
    names = {each.name for each in variables(settings)}
    known = names | {name + FILE for name in names}
    others = sorted(name for name in environ.keys() - known if name.startswith(PREFIX))
    close = {name: get_close_matches(name, known, 1, CLOSE) for name in others}
    return [f"{name} is no setting: {meant[0]} is one" for name, meant in close.items() if meant]
