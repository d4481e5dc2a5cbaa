"""docs/guarantees.md proves each sentence with a test."""

import re

from tests.support.paths import ROOT


def test_every_quoted_promise_links_to_a_test() -> None:
    """There are twelve quoted sentences, and each is followed by a link to a test."""
    page = (ROOT / "docs/guarantees.md").read_text().partition("\n## ")[0]
    _, *promises = re.split(r"^(?:> .*\n)+", page, flags=re.M)

    assert len(promises) == 12
    assert [promise for promise in promises if "[`test_" not in promise] == []
