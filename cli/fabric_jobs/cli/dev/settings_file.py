"""The file `settings.env` of a project, which compose.yaml gives to the executor."""

import re
from pathlib import Path

from fabric_jobs.cli.errors import InputError

FILE_NAME = "settings.env"
#: Editors of Windows write this mark. A shell would take it as a part of the first name.
_BYTE_ORDER_MARK = "\ufeff"
_LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>(?![\s\"'])(?:(?!\s#)[^$])*)")


def read_settings(folder: Path) -> dict[str, str]:
    """Returns the variables of the folder's `settings.env`, or none if there is no such file.

    A line is `NAME=VALUE`, or a comment that begins with `#`. Raises `InputError` if the file can't
    be read, or if a line has another form. Some values are refused, because the shell, Docker and
    Compose disagree about them: a value with quotes around it, with a `$`, with a space before it,
    or with a comment behind it.
    """
    file = folder / FILE_NAME
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read: {error}.") from error
    if lines and lines[0].startswith(_BYTE_ORDER_MARK):
        raise InputError(f"{file} begins with a byte order mark. Save it as UTF-8 without one.")
    settings = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise InputError(
                f"{file}, line {number}, is not NAME=VALUE. The value begins after the =, without "
                "quotes and without $. A comment needs its own line."
            )
        settings[found["name"]] = found["value"]
    return settings
