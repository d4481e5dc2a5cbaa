"""The job monitor: pages for a browser, rendered here, and kept up to date by the same fold."""

from facade.monitor.access import Access, Role
from facade.monitor.app import Monitor
from facade.monitor.render import PATH

__all__ = ["PATH", "Access", "Monitor", "Role"]
