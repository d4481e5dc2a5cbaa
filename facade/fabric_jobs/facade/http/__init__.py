"""Fabric's HTTP API: decodes requests, calls the jobs, encodes answers.

No decision about a job's state is made here.
"""

from fabric_jobs.facade.http.admission import AdmissionControl, AdmissionRules
from fabric_jobs.facade.http.app import http_app
from fabric_jobs.facade.http.limits import HttpLimits
from fabric_jobs.facade.http.operations import Operations
from fabric_jobs.facade.http.server import HttpServer

__all__ = [
    "AdmissionControl",
    "AdmissionRules",
    "HttpLimits",
    "HttpServer",
    "Operations",
    "http_app",
]
