"""The documentation names what the code has."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import environment_variables
from opentelemetry.sdk import environment_variables as sdk_variables

from docs import settings
from fabric_jobs.contract import jobs
from fabric_jobs.contract.events import KnownEvent
from fabric_jobs.executor.metrics import METERS as EXECUTOR
from fabric_jobs.executor.settings import ExecutorSettings
from fabric_jobs.facade.http.errors import MEANINGS
from fabric_jobs.facade.jobs import turns
from fabric_jobs.facade.jobs.errors import UnavailableReason
from fabric_jobs.facade.metrics import METERS as FACADE
from fabric_jobs.facade.monitor import access, live, pages, timeline
from fabric_jobs.facade.rpc import offers, session, sessions
from fabric_jobs.facade.rpc.authorization import ROLES
from fabric_jobs.facade.settings import FacadeSettings
from fabric_jobs.facade.startup.security import MIN_TOKEN_CHARS
from fabric_jobs.runtime.settings import FILE, variables
from tests.support.pages import PAGES, TESTS, blocks, shown
from tests.support.paths import ROOT

SETTINGS = {
    each.name for struct in (FacadeSettings, ExecutorSettings) for each in variables(struct)
}
VARIABLES = (
    SETTINGS
    | {name + FILE for name in SETTINGS}
    | vars(environment_variables).keys()
    | vars(sdk_variables).keys()
)
SUBSCRIBE = ROOT / "docs/subscribe.md"


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


def test_page_on_http_lists_every_reason_of_unavailable_with_its_bounds() -> None:
    """The table has each reason once; the bounds on commands are those of the code."""
    page = (ROOT / "docs/http.md").read_text()

    assert re.findall(r"^\| `([A-Z_]+)` \|", page, re.M) == list(UnavailableReason)
    assert (
        f"{turns.MAX_COMMANDS:,} commands in progress, or {turns.MAX_COMMANDS_OF_A_JOB} for"
    ) in page


def test_every_grpc_method_is_in_the_table_with_its_roles() -> None:
    """As the one table of the code has them."""
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", (ROOT / "docs/grpc.md").read_text(), re.M)

    assert {method: set(roles.split(", ")) for method, roles in rows} == ROLES


def test_every_metric_is_in_the_table_with_its_labels_and_meaning() -> None:
    """As they are declared; nothing is there that does not exist."""
    rows = re.findall(
        r"^\| `(fabric_jobs_\w+)` \| (.*?) \| (.*) \|$",
        (ROOT / "docs/observe.md").read_text(),
        re.M,
    )

    assert rows == [
        (metric.name, ", ".join(f"`{label}`" for label in metric.labels), metric.meaning)
        for meters in (FACADE, EXECUTOR)
        for metric in meters.declared
    ]


def test_a_command_that_is_shown_is_run_or_held_by_a_test() -> None:
    """By the first word of each of its parts: whoever shows a new one writes that test."""
    words = {word for block in blocks() for one in block for word in one.words}

    assert words == TESTS.keys()
    for word, file in TESTS.items():
        assert re.search(rf'shown\([^)]*"{re.escape(word)}"', (ROOT / file).read_text()), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_blocks_of_console(page: Path) -> None:
    """Each behind its prompt, where they are found."""
    fences = re.findall(r"^```(\S*)\n(.*?)^```$", page.read_text(), re.M | re.S)
    languages = {language for language, _ in fences}

    assert languages <= {"", "console", "dockerfile", "javascript", "json", "python", "xml"}
    assert [text for language, text in fences if (language == "console") != ("$ " in text)] == []


def test_a_folder_that_is_entered_is_there() -> None:
    """In the repository, or made just before."""
    for one in shown("cd"):
        made = [part[2] for part in one.parts if part[:2] == ["fabric-jobs", "new"]]
        (folder,) = (part[1] for part in one.parts if part[0] == "cd")
        assert folder in made or (ROOT / folder).is_dir(), one.command


def test_the_environment_that_is_entered_is_make_s() -> None:
    """By the script that every venv has."""
    (folder,) = {one.parts[0][1].removesuffix("/bin/activate") for one in shown("source")}

    assert f"-m venv {folder}\n" in (ROOT / "Makefile").read_text()


def test_a_target_of_make_that_is_shown_is_there() -> None:
    """In the Makefile, as are the variables that it is given."""
    makefile = (ROOT / "Makefile").read_text()
    for one in shown("make"):
        for word in one.parts[0][1:]:
            name, given, _ = word.partition("=")
            assert (f"$({name})" if given else f"\n{name}: ") in makefile, one.command


def test_a_program_of_python_that_is_shown_is_there() -> None:
    """A module that `-m` takes."""
    for one in shown("python"):
        assert find_spec(one.parts[0][2]), one.command


def test_a_variable_that_is_exported_is_a_setting() -> None:
    """Of ours, or of OpenTelemetry's."""
    for one in shown("export"):
        assert {word.partition("=")[0] for word in one.parts[0][1:]} <= VARIABLES, one.command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_variable_that_is_named_is_a_setting(page: Path) -> None:
    """In a sentence as in a command."""
    named = re.findall(r"\b(?:FABRIC_JOBS|OTEL)_[A-Z0-9_]*[A-Z0-9]\b", page.read_text())

    assert set(named) <= VARIABLES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


@pytest.mark.parametrize("example", ["subscribe.py", "subscribe.mjs"])
def test_a_page_shows_the_example_that_the_tests_run(example: str) -> None:
    """To the letter."""
    shown = re.findall(r"```(?:python|javascript)\n(.*?)```", SUBSCRIBE.read_text(), re.S)

    assert (ROOT / "examples" / example).read_text() in shown


def test_the_types_of_events_are_in_the_table() -> None:
    """All, and none that does not exist."""
    rows = re.findall(r"^\| (`fabric\.jobs\..*?) \|", SUBSCRIBE.read_text(), re.M)
    named = [f"fabric.jobs{name}" for row in rows for name in re.findall(r"(\.[a-z-]+)`", row)]

    assert sorted(named) == sorted(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)


def test_the_limits_of_an_executor_are_the_code_s() -> None:
    """Each number of the table, in its order."""
    page = (ROOT / "docs/executors.md").read_text()
    rows = re.findall(r"^\| (?!of |-).* \| (.*) \|$", page.partition("## Limits")[2], re.M)
    numbers = [int(text.replace(",", "")) for row in rows for text in re.findall(r"[\d,]*\d", row)]

    assert numbers == [
        *(1, sessions.MAX_ID_CHARS),
        sessions.MAX_NAME_CHARS,
        sessions.MAX_JOB_TYPES,
        session.MAX_WORKING,
        4,
        offers.MAX_ROUND_BYTES // 1024**2,
        jobs.MAX_PROGRESS_CHARS,
        *(jobs.MAX_CODE_CHARS, jobs.MAX_MESSAGE_CHARS),
        *(jobs.MAX_LISTED, jobs.MAX_ERROR_BYTES // 1024),
        jobs.MAX_TRACEBACK_BYTES // 1024,
    ]


def test_the_handler_beside_the_manifest_has_its_names() -> None:
    """The item's, and a job's that begins with it."""
    page = (ROOT / "docs/fabric.md").read_text()
    (item,) = re.findall(r'TypeName="(.*?)"', page)
    (job,) = re.findall(r'ItemJobType Name="(.*?)"', page)

    assert job.startswith(f"{item}.")
    assert f'@executor.job("{item}", "{job}")' in page


def test_the_numbers_of_the_job_monitor_are_the_code_s() -> None:
    """Each that its page and the page on security say."""
    monitor = " ".join((ROOT / "docs/monitor.md").read_text().split())
    security = " ".join((ROOT / "docs/security.md").read_text().split())

    for sentence in (
        f"the newest first, {pages.PAGE_ROWS} a page",
        f"at most {timeline.MAX_RECORDS:,} records of the job's partition, for "
        f"{timeline.MAX_READ_S:.0f} seconds",
        f"the last {timeline.MAX_ROWS} rows",
        f"looked up for {pages.LIST_SHARE * 100:.0f} % of the time at most",
        f"At most {live.MAX_VIEWERS} such pages",
        f"no news of the log for {pages.FRESH_S:.0f} seconds",
    ):
        assert sentence in monitor
    for sentence in (
        f"({MIN_TOKEN_CHARS} characters or more",
        f"holds for {access.SESSION_S // 3600} hours",
        f"After {access.MAX_WRONG_TOKENS} wrong tokens in a minute",
    ):
        assert sentence in security


@pytest.mark.parametrize(
    ("page", "handler"), [("README.md", "calculate_forecast"), ("docs/handlers.md", "refresh")]
)
def test_the_handler_of_a_page_runs_as_it_stands(
    page: str, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is code that decorates and registers, and the tests of it pass."""
    example, *tests = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    my_jobs = ModuleType("my_jobs")
    monkeypatch.setitem(sys.modules, "my_jobs", my_jobs)
    exec(compile(example, page, "exec"), vars(my_jobs))
    names: dict[str, Any] = {}
    for text in tests:
        exec(compile(text, page, "exec"), names)
    for name in filter(re.compile("test_").match, names):
        names[name]()

    assert callable(getattr(my_jobs, handler))
