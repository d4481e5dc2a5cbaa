"""Renders pages and their parts as HTML. Every value is escaped."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fabric_jobs.contract.controls import MAX_REASON_CHARS
from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.monitor import formatting
from fabric_jobs.facade.monitor.access import Viewer
from fabric_jobs.facade.monitor.advice import advice
from fabric_jobs.facade.monitor.links import Links, trace_id
from fabric_jobs.facade.monitor.tracebacks import split_tail, split_traceback

#: The monitor's path on the HTTP address.
PATH = "/monitor"
STATIC = Path(__file__).with_name("static")


class Renderer:
    """The templates, with the values that all of them use."""

    def __init__(self, links: Links) -> None:
        """`links` are those to other systems."""
        self._templates = Environment(
            loader=PackageLoader("fabric_jobs.facade.monitor"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "format_elapsed": formatting.format_elapsed,
            "format_short_time": formatting.format_short_time,
            "format_time": formatting.format_time,
        }
        self._templates.globals |= {
            "advice": advice,
            "format_json": formatting.format_json,
            "path": PATH,
            "split_tail": split_tail,
            "split_traceback": split_traceback,
            "statuses": tuple(JobInstanceStatus),
            "links": links,
            "max_reason_chars": MAX_REASON_CHARS,
            "trace_id": trace_id,
            # Part of the static files' URLs, so that browsers may keep the files.
            "version": _static_digest(),
        }

    def render_part(self, name: str, content: object) -> Markup:
        """Returns a part of a page, by the name of its template."""
        template = self._templates.get_template(f"parts/{name}.html")
        return Markup(template.render(content=content))  # noqa: S704 - the template escapes

    def render_page(
        self,
        template: str,
        viewer: Viewer | None,
        parts: Mapping[str, object] | None = None,
        **values: object,
    ) -> str:
        """Returns a whole page, by the file name of its template.

        The page has the navigation if a viewer is given.
        """
        html = {name: self.render_part(name, content) for name, content in (parts or {}).items()}
        return self._templates.get_template(template).render(viewer=viewer, parts=html, **values)


def _static_digest() -> str:
    """Returns a digest of all static files, which changes when a file changes."""
    digest = sha256()
    for file in sorted(STATIC.rglob("*.*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
