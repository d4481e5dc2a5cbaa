"""The job monitor: HTML pages, rendered from the replica and updated as the replica changes."""

from fabric_jobs.facade.monitor.access import MonitorAccess, MonitorRole
from fabric_jobs.facade.monitor.app import Monitor
from fabric_jobs.facade.monitor.openid import OpenIdSettings, OpenIdSignIn
from fabric_jobs.facade.monitor.render import PATH

__all__ = ["PATH", "Monitor", "MonitorAccess", "MonitorRole", "OpenIdSettings", "OpenIdSignIn"]
