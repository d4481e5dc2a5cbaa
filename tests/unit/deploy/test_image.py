"""What the image is made of: Dockerfile, locks and the bill of materials."""

import importlib.metadata
import re
import tomllib

from deploy.sbom import sbom
from tests.support.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(name: str) -> dict[str, str]:
    """The packages and versions of a lock."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.M))


def test_bill_of_materials_lists_what_the_lock_installs_here() -> None:
    """Each locked package that is installed, at its version, and nothing else."""
    listed = {each["name"]: each["version"] for each in sbom()["components"]}
    installed = {
        name: version
        for name, version in pinned("requirements.lock").items()
        if any(importlib.metadata.distributions(name=name))
    }

    assert listed == installed
    assert sbom()["metadata"]["component"]["version"] == PROJECT["version"]


def test_label_names_the_version_of_the_project() -> None:
    """An image can be told from an older one."""
    assert re.findall(r'image\.version="(.*)"', DOCKERFILE) == [PROJECT["version"]]


def test_every_package_of_the_build_is_locked_as_in_the_development_environment() -> None:
    """The wheel is built by the tools that the tests build it with."""
    build = pinned("requirements-build.lock")

    assert "hatchling" in build
    assert build.items() <= pinned("requirements-dev.lock").items()


def test_every_install_of_the_build_verifies_hashes_or_has_no_network() -> None:
    """The project itself is built and installed without looking for anything else."""
    installs = re.findall(r"pip (?:\S+ )*?(?:install|wheel) [^&\n]*", DOCKERFILE)

    assert len(installs) == 4
    for install in installs:
        assert "--require-hashes" in install or "--no-deps" in install
    assert "--no-build-isolation" in DOCKERFILE


def test_locks_hold_no_package_that_only_the_framework_s_examples_need() -> None:
    """Litestar requires polyfactory, which requires Faker; pyproject.toml leaves both out."""
    assert not {"polyfactory", "faker"} & pinned("requirements.lock").keys()
