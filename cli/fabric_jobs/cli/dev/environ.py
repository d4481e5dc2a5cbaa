"""Changes to an environment in which a variable `NAME_FILE` may stand for `NAME`."""

from collections.abc import Mapping

from fabric_jobs.runtime.settings import FILE_SUFFIX


def with_defaults(environ: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment. Adds each default that is set neither directly nor by a file."""
    missing = {name: value for name, value in defaults.items() if name + FILE_SUFFIX not in environ}
    return missing | dict(environ)


def with_values(environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment with these values. Drops the files that set the same names."""
    replaced = {name + FILE_SUFFIX for name in values}
    return {name: value for name, value in environ.items() if name not in replaced} | dict(values)
