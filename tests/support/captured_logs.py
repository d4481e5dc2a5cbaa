"""What pytest captured of the log."""

import pytest


def lines_with_stacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns the messages, each with the stack that was logged below it."""
    return [f"{record.getMessage()}\n{record.stack_info or ''}" for record in caplog.records]
