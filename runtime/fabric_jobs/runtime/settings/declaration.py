"""Reads settings from environment variables or files.

The variable of a field is `FABRIC_JOBS_` and the field's name in capitals. With `_FILE` appended,
the variable holds the path of a file that holds the value.
"""

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
FILE_SUFFIX = "_FILE"
#: The similarity, from 0 to 1, from which on an unknown name counts as a misspelt setting.
MISSPELLING_SIMILARITY = 0.94


def variable(field: str) -> str:
    """Returns the name of a setting's environment variable."""
    return PREFIX + field.upper()


class Variable(NamedTuple):
    """A setting and its environment variable."""

    name: str
    field: str
    type: Any
    default: Any

    @property
    def example(self) -> str:
        """A valid value, as text."""
        return value_types.example(self.type) or value_types.write(self.default)

    def read(self, environ: Mapping[str, str]) -> Any:
        """Returns the setting's value, or its default if it is not set. Raises `SettingsError`."""
        text, path = environ.get(self.name), environ.get(self.name + FILE_SUFFIX)
        if text and path:
            raise SettingsError(
                f"{self.name} and {self.name}{FILE_SUFFIX} are both set: set only one of them."
            )
        if path:
            # The content may be a secret, so no error shows it.
            text, source = self._read_file(path), f"What {self.name}{FILE_SUFFIX}={path!r} holds"
        elif text:
            source = f"{self.name}={text!r}"
        else:
            return self.default
        try:
            return value_types.read(self.type, text)
        except ValueError as error:
            raise SettingsError(
                f"{source} is not {value_types.describe(self.type)}, for example {self.example}."
            ) from error

    def _read_file(self, path: str) -> str:
        try:
            # Editors of Windows put a byte order mark before the value.
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsError(
                f"{self.name}{FILE_SUFFIX}={path!r} can't be read ({why}): name a file that holds "
                "the value, such as /run/secrets/value."
            ) from error
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise SettingsError(
                f"{self.name}{FILE_SUFFIX}={path!r} is empty: write the value into that file."
            )
        return text


T = TypeVar("T", bound=Struct)


def variables(settings: type[Struct]) -> list[Variable]:
    """Returns the variables of a settings struct, in the order of its fields."""
    return [
        Variable(variable(field.name), field.name, field.type, field.default)
        for field in msgspec.structs.fields(settings)
    ]


def from_env(settings: type[T], environ: Mapping[str, str]) -> T:
    """Returns the settings that the environment gives. An empty value means the default.

    Commas separate the values of a list. Logs a warning for each misspelt variable. Raises
    `SettingsError`, whose message names the variable and a valid value.
    """
    for warning in find_misspellings(settings, environ):
        log.warning(warning)
    return settings(**{each.field: each.read(environ) for each in variables(settings)})


def find_misspellings(settings: type[Struct], environ: Mapping[str, str]) -> list[str]:
    """Returns a warning for each variable whose name is almost that of a setting.

    A variable that is merely unknown gets no warning, because other programs share the prefix.
    """
    names = {each.name for each in variables(settings)}
    known = names | {name + FILE_SUFFIX for name in names}
    others = sorted(name for name in environ.keys() - known if name.startswith(PREFIX))
    matches = {name: get_close_matches(name, known, 1, MISSPELLING_SIMILARITY) for name in others}
    return [
        f"{name} is not a setting. Did you mean {match[0]}?"
        for name, match in matches.items()
        if match
    ]
