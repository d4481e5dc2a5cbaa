"""Fabric's door: decode, call, encode. No decision about a job's state is made here."""

from facade.http.app import http_app
from facade.http.door import Admission, Door
from facade.http.operations import Operations

__all__ = ["Admission", "Door", "Operations", "http_app"]
