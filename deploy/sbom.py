"""Writes a software bill of materials in CycloneDX 1.6 from requirements.lock to stdout.

It lists fabric-jobs and each locked package that is installed on this platform. The image holds
the result as /app/sbom.cdx.json.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
_PINNED = re.compile(r"^([\w.-]+==[^\s\\]+(?: ; [^\\]+)?)", re.MULTILINE)


def sbom() -> dict[str, Any]:
    """The document: no timestamp and no serial number, so equal locks give equal documents."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    root = _component("application", project["name"], project["version"])
    locked = [
        _component("library", each.name, str(each.specifier).removeprefix("=="))
        for each in map(Requirement, _PINNED.findall(lock))
        if each.marker is None or each.marker.evaluate()
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": locked,
    }


def _component(kind: str, name: str, version: str) -> dict[str, str]:
    url = f"pkg:pypi/{name}@{version}"
    return {"type": kind, "bom-ref": url, "name": name, "version": version, "purl": url}


if __name__ == "__main__":
    print(json.dumps(sbom(), indent=2))
