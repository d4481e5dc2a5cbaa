"""Pages and parts of pages as HTML: whatever a value is, it is escaped."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fabric_jobs.contract.jobs import JobInstanceStatus
from fabric_jobs.facade.monitor import formatting
from fabric_jobs.facade.monitor.advice import advice

#: Where the monitor is, on the HTTP address.
PATH = "/monitor"
STATIC = Path(__file__).with_name("static")


class Renderer:
    """The templates, with what all of them know."""

    def __init__(self, trace_url: str, *, signed_in: bool) -> None:
        """`signed_in` says whether whoever sees a page had to sign in, and may sign out."""
        self._templates = Environment(
            loader=PackageLoader("fabric_jobs.facade.monitor"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "elapsed": formatting.elapsed,
            "instant": formatting.instant,
            "short_time": formatting.short_time,
        }
        self._templates.globals |= {
            "advice": advice,
            "payload": formatting.payload,
            "path": PATH,
            "signed_in": signed_in,
            "statuses": tuple(JobInstanceStatus),
            "trace_id": formatting.trace_id,
            "trace_url": trace_url,
            # In the names of the files, so that browsers may keep them.
            "version": _digest(),
        }

    def part(self, name: str, content: object) -> Markup:
        """A part of a page, by the name of its template."""
        template = self._templates.get_template(f"parts/{name}.html")
        return Markup(template.render(content=content))  # noqa: S704 - made by a template

    def page(
        self, template: str, parts: Mapping[str, object] | None = None, **values: object
    ) -> str:
        """A whole page."""
        rendered = {name: self.part(name, content) for name, content in (parts or {}).items()}
        return self._templates.get_template(template).render(parts=rendered, **values)


def _digest() -> str:
    """Of all static files: another for other contents."""
    digest = sha256()
    for file in sorted(STATIC.rglob("*.*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
