"""The root logger of a handler's process forwards its lines."""

import logging
from unittest.mock import Mock

import pytest

from fabric_jobs.executor.processes.child_channel import ForwardingHandler


@pytest.mark.parametrize("is_removed", [True, False])
def test_root_logger_keeps_a_handler_that_was_added_beside_the_forwarding_one(
    monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    """It may be an exporter's. One in place of the forwarding one would print each line twice."""
    forwarding, added = ForwardingHandler(Mock()), logging.NullHandler()
    handlers = [added] if is_removed else [forwarding, added]
    with monkeypatch.context() as patch:
        patch.setattr(logging.root, "handlers", handlers)
        forwarding.take_root()

    assert handlers == ([forwarding] if is_removed else [forwarding, added])
