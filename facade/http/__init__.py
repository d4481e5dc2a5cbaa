"""Fabric's door: decode, call, encode. No decision about a job's state is made here."""

from facade.http.app import http_app
from facade.http.door import Admission, Door
from facade.http.operations import Operations
from facade.http.server import HttpServer

__all__ = ["Admission", "Door", "HttpServer", "Operations", "http_app"]
