"""The job monitor: pages for a browser, rendered here, and kept up to date by the same fold."""

from fabric_jobs.facade.monitor.access import MonitorAccess, MonitorRole
from fabric_jobs.facade.monitor.app import Monitor
from fabric_jobs.facade.monitor.render import PATH

__all__ = ["PATH", "Monitor", "MonitorAccess", "MonitorRole"]
