"""Fabric's door: decode, call, encode. No decision about a job's state is made here."""

from facade.http.app import http_app

__all__ = ["http_app"]
