"""What can go wrong with the log."""


class LogError(Exception):
    """Base of the log's errors."""


class LogUnavailableError(LogError):
    """The log can't be used now; an append's outcome is unknown. Trying again may help."""


class TopicError(LogError):
    """The topic is missing or wrongly made; the message names the fault and the mend."""


class LogForgottenError(LogError):
    """The broker dropped records that it was to keep. The log can't be trusted any further."""
