"""The errors of the log."""


class LogError(Exception):
    """Base class of the log's errors."""


class LogUnavailableError(LogError):
    """The log can't be reached, or did not confirm in time. A later try may succeed.

    When an append raises it, the record may or may not be on the log.
    """


class TopicError(LogError):
    """The topic is missing or wrongly configured; the message says how to correct it."""


class LogDataLossError(LogError):
    """The broker dropped records before their retention was over: the log can't be trusted."""
