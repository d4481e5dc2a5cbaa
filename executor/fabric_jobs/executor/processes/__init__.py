"""Processes of handlers: the executor's side, the messages between, and the child."""
