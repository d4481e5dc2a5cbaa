"""The documentation names what the code has."""

import re
from pathlib import Path

import pytest

from docs import settings
from facade.http.errors import MEANINGS

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_page_of_settings_is_what_the_code_says() -> None:
    """A row a variable, with its default and its comment: `make docs` would change nothing."""
    assert settings.PAGE.read_text(encoding="utf-8") == settings.page()


def test_every_error_code_is_in_the_table_with_what_it_means() -> None:
    """Code, status, source and permanence, as the one table of the code has them."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\w+) \| (yes|no) \|", (ROOT / "docs/http.md").read_text(), re.M
    )

    assert {row[0]: row[1:] for row in rows} == {
        code.value: (
            str(meaning.status),
            meaning.source.value,
            "yes" if meaning.permanent else "no",
        )
        for code, meaning in MEANINGS.items()
    }


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_test_that_a_page_names_is_there(page: Path) -> None:
    """Under that name, in the file that the link leads to."""
    links = re.findall(r"\[([^]]*)\]\(([^)#]*tests/[^)#]+\.py)\)", page.read_text())

    assert [
        (name, file)
        for name, file in links
        if f"def {name.strip('`')}(" not in (page.parent / file).read_text()
    ] == []


def test_each_sentence_of_the_promise_names_a_test() -> None:
    """Nothing is promised, or said not to be, that is not shown."""
    page = (ROOT / "docs/guarantees.md").read_text().partition("\n## ")[0]
    _, *promises = re.split(r"^(?:> .*\n)+", page, flags=re.M)

    assert len(promises) == 7
    assert [promise for promise in promises if "[`test_" not in promise] == []


def test_the_readme_s_handler_runs_as_it_stands(tmp_path: Path) -> None:
    """The example is code that decorates and registers."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)

    assert callable(names["calculate_forecast"])
