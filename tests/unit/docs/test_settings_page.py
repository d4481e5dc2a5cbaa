"""docs/settings.md is generated."""

from docs import settings


def test_settings_page_equals_the_generated_one() -> None:
    """Each variable has a row with default and comment; `make docs` changes nothing."""
    assert settings.PAGE.read_text(encoding="utf-8") == settings.page()
