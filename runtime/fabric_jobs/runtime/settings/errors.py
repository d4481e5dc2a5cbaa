"""The error of a setting that can't be used."""


class SettingsError(ValueError):
    """A setting can't be used; the message names it."""
