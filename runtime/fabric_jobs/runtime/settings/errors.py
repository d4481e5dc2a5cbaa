"""The error that every unusable setting raises."""


class SettingsError(ValueError):
    """A setting cannot be used. The message names its environment variable and what to change."""
