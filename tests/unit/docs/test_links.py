"""Links and paths on the pages lead to files that exist."""

import re
from pathlib import Path

import pytest

from tests.support.pages import PAGES, name_of
from tests.support.paths import ROOT

LINKING = [*PAGES, ROOT / "CHANGELOG.md"]
#: Verbs of sentences about what Fabric does.
DOES = "calls|cancels|checks|creates|gives|polls|repeats|sends|shows|starts"
#: The folders that a path on a page begins with.
FOLDERS = "proto|runtime|facade|executor|cli|tests|bench|docs|deploy|examples"


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_relative_link_on_page_names_existing_file(page: Path) -> None:
    """Every relative link names a file or folder in the repository."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_link_with_anchor_names_existing_heading(page: Path) -> None:
    """The part after `#` is the anchor of a heading of the page that the link names."""
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
        target = page.parent / link if link else page
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
        anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
        assert anchor in anchors, f"{link}#{anchor}"


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_path_on_page_exists(page: Path) -> None:
    """A path in backticks that begins with a folder of the repository exists."""
    paths = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text())

    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_linked_test_is_defined_in_linked_file(page: Path) -> None:
    """A link from a test's name to a file leads to the file that defines the test."""
    links = re.findall(r"\[([^]]*)\]\(([^)#]*tests/[^)#]+\.py)\)", page.read_text())

    assert [
        (name, file)
        for name, file in links
        if f"def {name.strip('`')}(" not in (page.parent / file).read_text()
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_that_says_what_fabric_does_links_to_microsoft(page: Path) -> None:
    """A page with a sentence about Fabric links to a page of Microsoft, by its title."""
    text = page.read_text()
    linked = r"\[([^]]+)\](?:\(|\[\w+\].*?^\[\w+\]: )https://learn\.microsoft\.com/[\w/-]+"
    titles = re.findall(linked, text, re.M | re.S)

    assert titles or not re.search(rf"\bFabric (?:{DOES})\b", text)
    assert [title for title in titles if title.startswith("http")] == []
