"""Runs of handlers: their start, reports, cancels, limits in time and ends."""
