"""The handlers that pages show run unchanged."""

import re
import sys
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("page", "handler"), [("README.md", "calculate_forecast"), ("docs/handlers.md", "refresh")]
)
def test_handler_on_page_registers_and_passes_the_tests_beside_it(
    page: str, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first Python block of the page defines the handler; the others may use it.

    The tests in each block pass.
    """
    example, *tests = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    my_jobs = ModuleType("my_jobs")
    monkeypatch.setitem(sys.modules, "my_jobs", my_jobs)
    exec(compile(example, page, "exec"), vars(my_jobs))
    for text in tests:
        names: dict[str, Any] = {}
        exec(compile(text, page, "exec"), names)
        for name in filter(re.compile("test_").match, names):
            names[name]()

    assert callable(getattr(my_jobs, handler))
