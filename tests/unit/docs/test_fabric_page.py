"""docs/fabric.md is consistent, and has the bounds of the code."""

import re

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.facade.http import instance
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/fabric.md").read_text()


def test_handler_beside_the_manifest_has_the_names_of_the_manifest() -> None:
    """The decorator names the manifest's item and job; the job's name begins with the item's."""
    (item,) = re.findall(r'TypeName="(.*?)"', PAGE)
    (job,) = re.findall(r'ItemJobType Name="(.*?)"', PAGE)

    assert job.startswith(f"{item}.")
    assert f'@executor.job("{item}", "{job}")' in PAGE


def test_bounds_on_page_are_those_of_the_code() -> None:
    """The lengths of names, and the minutes after which a job that has not started fails."""
    lengths = re.findall(r"at most (\d+)", PAGE)

    assert [int(number) for number in lengths] == [
        instance.MAX_ITEM_TYPE_CHARS,
        instance.MAX_JOB_TYPE_CHARS,
    ]
    minutes = {int(number) for number in re.findall(r"(\d+) minutes", PAGE)}
    assert minutes == {START_DEADLINE.total_seconds() / 60}
