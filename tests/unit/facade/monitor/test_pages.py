"""What the pages show, and that no text from outside becomes markup."""

import re
import uuid
from html import unescape
from html.parser import HTMLParser
from urllib.parse import quote

import msgspec
import pytest
from litestar.types import ASGIApp

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, JobKind, Run
from fabric_jobs.facade.jobs.instance import retry_request
from fabric_jobs.facade.lifecycle import RequestCancel
from fabric_jobs.facade.monitor.advice import ADVICE_BY_CODE
from fabric_jobs.facade.monitor.formatting import MAX_JSON_CHARS
from fabric_jobs.facade.monitor.pages import MAX_EXECUTORS
from tests.support.monitor import (
    EXECUTOR,
    TRACEPARENT,
    FixedHealth,
    FoldedJobs,
    a_request,
    browser_client,
    make_monitor,
)
from tests.support.sealing import NEW_KEY, OLD_KEY, sealing

_LINKS = ("href", "src", "action", "formaction", "sse-connect")
EVIL = "<script>alert(1)</script>'\"&javascript:alert(2)<img src=x onerror=alert(3)>"


@pytest.fixture
def fold() -> FoldedJobs:
    """Returns a replica without jobs."""
    return FoldedJobs()


async def get(app: ASGIApp, path: str) -> str:
    """Returns the page, which must exist."""
    async with browser_client(app) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def text_of(html: str) -> str:
    """Returns the text that a person reads."""
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


async def test_jobs_page_shows_each_job_and_the_summary(fold: FoldedJobs) -> None:
    """A row has status, progress, type, item, attempt, times and executor."""
    waits, runs, failed = (fold.create() for _ in range(3))
    fold.start(runs)
    fold.progress(runs, 0.25, "a quarter")
    fold.start(failed)
    fold.fail(failed, "no")
    fold.add_executor(ExecutorHeartbeat(executor_id="executor-a", slots=4, free_slots=3))
    _, app = make_monitor(fold)
    html = await get(app, "/monitor")

    rows = {row[:36]: text_of(row) for row in re.findall(r'<tr id="job-(.*?)</tr>', html, re.S)}
    assert rows.keys() == {waits, runs, failed}
    assert re.search(
        r"NotStarted can't start refresh Report 00000000 1 \S+ \d+ s No executor has", rows[waits]
    )
    assert re.search(r"InProgress refresh .* \d+ s 5e1f0c7a 25 % a quarter", rows[runs])
    assert re.search(
        r"Failed all attempts failed refresh .* \d\.\d s \d\.\d s 5e1f0c7a HandlerError no",
        rows[failed],
    )
    assert '<progress max="1" value="0.25"' in html
    assert re.search(
        r"NotStarted 1 InProgress 1 Oldest waiting \d+ s Executors 1 Free slots 3 of 4",
        text_of(html),
    )


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a": ' + b"[" * 60 + b"[]," * 80_000 + b"[]" + b"]" * 60 + b"}",
        b'{"a": "' + "\U0001f44d".encode() * 60_000 + b'"}',
    ],
)
async def test_job_page_of_a_large_payload_is_small(fold: FoldedJobs, payload: bytes) -> None:
    """Indented, a payload of 256 KiB could have hundreds of megabytes."""
    job_id = fold.create(payload=payload)
    _, app = make_monitor(fold)
    html = await get(app, f"/monitor/jobs/{job_id}")

    assert len(html) < 3 * MAX_JSON_CHARS


async def test_executors_page_shows_a_bounded_number_of_executors_and_handlers(
    fold: FoldedJobs,
) -> None:
    """The page says how many it leaves out."""
    kinds = tuple(JobKind("Item", f"type-{number}") for number in range(12))
    for number in range(MAX_EXECUTORS + 3):
        fold.add_executor(ExecutorHeartbeat(executor_id=f"e-{number}", job_kinds=kinds))
    _, app = make_monitor(fold)
    text = text_of(await get(app, "/monitor/executors"))

    assert text.count("and 2 more") == MAX_EXECUTORS
    assert "And 3 more: fabric-jobs executors list shows all." in text


async def test_job_page_shows_payload_error_advice_and_trace(fold: FoldedJobs) -> None:
    """Numbers and texts of the payload are as they were sent."""
    number = b'{"big": 12345678901234567890123, "text": "caf\xc3\xa9"}'
    job_id = fold.create(payload=number)
    fold.start(job_id)
    fold.fail(job_id, "The region is closed.")
    _, app = make_monitor(fold, monitor_trace_url="https://traces.test/t/{trace_id}")
    html = await get(app, f"/monitor/jobs/{job_id.upper()}")

    assert "12345678901234567890123" in html
    assert "café" in html
    assert "HandlerError The region is closed. System " + ADVICE_BY_CODE["HandlerError"] in text_of(
        html
    )
    assert f"fabric-jobs jobs retry {job_id}" in html
    assert f'href="https://traces.test/t/{TRACEPARENT.split("-")[1]}"' in html
    assert f"/monitor/jobs/{job_id}/cancel" not in html


async def test_job_page_of_a_running_job_shows_the_size_of_its_checkpoint(fold: FoldedJobs) -> None:
    """The value itself is not shown. A job that is final has none."""
    job_id = fold.create()
    fold.start(job_id)
    fold.save_checkpoint(job_id, b'{"row":7}')
    _, app = make_monitor(fold)
    running = text_of(await get(app, f"/monitor/jobs/{job_id}"))
    fold.complete(job_id)
    completed = text_of(await get(app, f"/monitor/jobs/{job_id}"))

    assert "Checkpoint 9 bytes" in running
    assert "Checkpoint 9" not in completed


@pytest.mark.parametrize(
    "path",
    [
        "",
        "?status=Failed",
        "/executors",
        "/job-types",
        "/ended",
        f"/executor?id={quote(EVIL)}",
        "/bulk/retry?status=Failed",
        "/jobs/{}",
        "/jobs/{}/events",
    ],
)
async def test_page_with_markup_in_its_values_shows_the_markup_as_text(
    fold: FoldedJobs, path: str
) -> None:
    """Every page escapes names, messages, payloads and executor ids."""
    job_id = fold.create(
        item_type=EVIL, job_type=EVIL, payload=msgspec.json.encode({EVIL: EVIL}), activity_id=EVIL
    )
    fold.start(job_id)
    fold.progress(job_id, 0.5, EVIL)
    fold.fail(job_id, EVIL, code=EVIL)
    kind = JobKind(EVIL, EVIL)
    fold.add_executor(ExecutorHeartbeat(executor_id=EVIL, pool=EVIL, job_kinds=(kind,), slots=1))
    _, app = make_monitor(fold)
    html = await get(app, f"/monitor{path.format(job_id)}")

    found = ParsedPage()
    found.feed(html)

    assert EVIL in found.texts | found.values
    assert found.tags & {"img", "iframe", "object", "style"} == set()
    assert [name for name in found.names if name.startswith("on") or name == "style"] == []
    assert [link for link in found.links if not link.startswith(("/monitor", "#main"))] == []
    assert found.scripts == 4
    assert all(not text.strip() for text in found.code)


class ParsedPage(HTMLParser):
    """The tags, attributes, texts and scripts of a page, as a browser parses them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.names = set[str](), set[str]()
        self.values, self.texts = set[str](), set[str]()
        self.links, self.code = list[str](), list[str]()
        self.scripts = 0
        self._in_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        self.values |= {value for _, value in attrs if value}
        self.links += [value for name, value in attrs if name in _LINKS and value is not None]
        self.scripts += tag == "script"
        self._in_code = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_code = False

    def handle_data(self, data: str) -> None:
        self.texts.add(data.strip())
        if self._in_code:
            self.code.append(data)


async def test_jobs_page_with_filters_shows_them_and_only_matching_jobs(fold: FoldedJobs) -> None:
    """The form has the values as they were typed. The link to the next page keeps the filters."""
    for _ in range(51):
        fold.create(job_type="nightly")
    other = fold.create(job_type="hourly")
    _, app = make_monitor(fold)
    html = await get(app, '/monitor?job_type=nightly&since=2h&item_type="><b>')
    assert 'name="item_type" value="&#34;&gt;&lt;b&gt;"' in html
    html = await get(app, "/monitor?job_type=nightly&status=NotStarted&since=2h")

    assert html.count('<tr id="job-') == 50
    assert other not in html
    assert 'value="NotStarted" checked' in html
    assert 'name="since" value="2h"' in html
    (older,) = re.findall(r'id="next-page" href="(.*?)"', html)
    rest = await get(app, older.replace("&amp;", "&"))
    assert rest.count('<tr id="job-') == 1
    assert "status=NotStarted&amp;job_type=nightly&amp;since=2h" in older


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("?status=Paused", 400, "status must be one of NotStarted"),
        ("?item=7", 400, "item &#39;7&#39; is not a GUID."),
        ("?since=yesterday", 400, "since: &#39;yesterday&#39; is neither a time"),
        ("?since=1h&until=2h", 400, "since must be a time before until."),
        ("?before=x.y", 400, "This page does not exist"),
        (f"?before={'9' * 30}.{uuid.UUID(int=1)}", 400, "This page does not exist"),
        ("/jobs/7", 400, "is not a job id"),
        ("?id=<b>", 400, "&lt;b&gt;"),
        ("?order=newest", 400, "order must be oldest"),
        ("/ended?period=year", 400, "period must be one of hour, day, week."),
        ("/ended?sort=age", 400, "sort must be one of type, ended"),
        ("/executors?sort=age", 400, "sort must be one of executor, pool"),
        (f"/jobs/{uuid.UUID(int=1)}", 404, "No such job is known"),
        ("/nowhere", 404, "This page does not exist."),
        ("/%00x", 404, "This page does not exist."),
        ("/jobs/%00", 400, "is not a job id"),
        ("/static/../app.py", 404, "This page does not exist."),
        ("/static/%00", 404, "no file"),
        (f"/static/{'a' * 300}", 404, "no file"),
        ("/static/monitor.css/x", 404, "no file"),
        ("/static/%ff%fe", 404, "no file"),
    ],
)
async def test_invalid_request_shows_an_error_page_with_the_reason(
    fold: FoldedJobs, path: str, status: int, message: str
) -> None:
    """The user's input is escaped."""
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.get(f"/monitor{path}")

    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )
    assert message in answer.text


async def test_find_with_a_job_id_redirects_to_the_job_page(fold: FoldedJobs) -> None:
    """Blanks and letter case do not matter."""
    job_id = fold.create()
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.get("/monitor/find", params={"id": f" {job_id.upper()} "})

    assert answer.headers["location"] == f"/monitor/jobs/{job_id}"


async def test_executors_page_shows_slots_runs_and_handlers(fold: FoldedJobs) -> None:
    """A run is shown by the start of its job's id."""
    job_id = fold.create()
    fold.add_executor(
        ExecutorHeartbeat(
            executor_id="executor-a",
            pool="blue",
            job_kinds=(JobKind("Report", "refresh"),),
            slots=4,
            free_slots=3,
            runs=(Run(job_id, 1),),
        )
    )
    _, app = make_monitor(fold)
    html = await get(app, "/monitor/executors")

    assert re.search(rf"executor-a blue 3 of 4 \S+ {job_id[:8]} Report refresh", text_of(html))


async def test_executors_page_shows_slots_that_are_held_by_handlers_that_do_not_end(
    fold: FoldedJobs,
) -> None:
    """The slots are neither free nor of use."""
    fold.add_executor(
        ExecutorHeartbeat(executor_id="executor-a", slots=10, free_slots=1, hung_slots=2)
    )
    _, app = make_monitor(fold)
    html = await get(app, "/monitor/executors")

    assert "1 of 10 2 of 10 slots are held by handlers that do not end" in text_of(html)


@pytest.mark.parametrize("path", ["", "/executors", "/jobs/{}"])
async def test_page_of_a_replica_that_is_not_ready_shows_a_warning(
    fold: FoldedJobs, path: str
) -> None:
    """Every page shows it, with the reason."""
    _, app = make_monitor(fold, health=FixedHealth("The log's end was not seen for 30 s."))

    assert "This page may be old. The log's end was not seen" in (
        text_of(await get(app, f"/monitor{path.format(fold.create())}"))
    )


async def test_events_page_without_kafka_shows_a_note(fold: FoldedJobs) -> None:
    """The rest of the page is shown."""
    job_id = fold.create()
    _, app = make_monitor(fold)

    assert "Kafka did not answer" in await get(app, f"/monitor/jobs/{job_id}/events")


async def test_job_page_after_a_cancel_has_no_cancel_button(fold: FoldedJobs) -> None:
    """Before the cancel, the page has the button."""
    job_id = fold.create()
    fold.start(job_id)
    _, app = make_monitor(fold)
    assert f"/monitor/jobs/{job_id}/cancel" in await get(app, f"/monitor/jobs/{job_id}")
    fold.do(RequestCancel(job_id=job_id))

    assert f"/monitor/jobs/{job_id}/cancel" not in await get(app, f"/monitor/jobs/{job_id}")


async def test_exhausted_job_that_was_retried_links_to_the_job_that_took_its_place(
    fold: FoldedJobs,
) -> None:
    """It is no longer listed as exhausted. The new job links to the old one."""
    old, new = fold.create(), str(uuid.uuid4())
    fold.start(old, max_attempts=1)
    fold.fail(old, "no")
    _, app = make_monitor(fold)
    before = await get(app, "/monitor?exhausted=yes")
    stored = fold.replica.get(old)
    assert stored
    fold.do(retry_request(stored.job, fold.content(stored.job), new))
    after = await get(app, "/monitor?exhausted=yes")
    listed, page, new_page = [
        await get(app, f"/monitor{at}") for at in ("", f"/jobs/{old}", f"/jobs/{new}")
    ]

    assert f"/monitor/jobs/{old}" in before
    assert "all attempts failed" in before
    assert f"/monitor/jobs/{old}" not in after
    for html in (listed, page):
        assert f'href="/monitor/jobs/{new}"' in html.partition("replaced by")[2]
    assert "fabric-jobs jobs retry" not in page
    assert f'href="/monitor/jobs/{old}"' in new_page.partition("Retry of")[2]


async def test_jobs_page_with_an_invalid_filter_keeps_the_form_as_typed(fold: FoldedJobs) -> None:
    """The page has the navigation and no list."""
    job_id = fold.create()
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.get("/monitor?status=Failed&job_type=nightly&item=7")

    assert answer.status_code == 400
    assert 'role="alert">item &#39;7&#39; is not a GUID.' in answer.text
    assert 'value="Failed" checked' in answer.text
    assert 'name="job_type" value="nightly"' in answer.text
    assert 'name="item" value="7"' in answer.text
    assert 'href="/monitor/executors"' in answer.text
    assert job_id not in answer.text
    assert "sse-connect" not in answer.text


async def test_error_page_has_the_navigation_if_somebody_is_signed_in(fold: FoldedJobs) -> None:
    """An error before the sign-in shows a link to the first page only."""
    pages = []
    for tokens in (False, True):
        _, app = make_monitor(fold, tokens=tokens)
        async with browser_client(app) as client:
            pages.append((await client.get("/monitor/nowhere")).text)

    assert 'href="/monitor/job-types"' in pages[0]
    assert "No sign-in: you are operator" in pages[0]
    assert 'href="/monitor/job-types"' not in pages[1]


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("0000000A", "/monitor/jobs/0000000a-0000-0000-0000-000000000000"),
        ("0000000b", "/monitor?id=0000000b"),
        ("00000", "/monitor?id=00000"),
        ("12", "/monitor?id=12"),
        ("", "/monitor"),
    ],
    ids=["one job", "no job", "two jobs", "too short", "empty"],
)
async def test_find_with_the_beginning_of_an_id_shows_the_job_or_the_list(
    fold: FoldedJobs, typed: str, target: str
) -> None:
    """The list shows the jobs of several, none of no job, and what is wrong with the text."""
    ids = ["0000000a-0000-0000-0000-000000000000", "00000bbb-0000-0000-0000-000000000000"]
    for job_id in ids:
        fold.do(a_request(job_id=job_id))
    _, app = make_monitor(fold)
    async with browser_client(app) as client:
        answer = await client.get("/monitor/find", params={"id": typed})
        shown = (await client.get(answer.headers["location"])).text

    assert answer.headers["location"] == target
    found = re.findall(r'<tr id="job-(.*?)"', shown)
    assert found == {"00000": ids[::-1], "": ids[::-1]}.get(typed, [])


async def test_jobs_page_with_the_oldest_first_is_paged_in_that_order(fold: FoldedJobs) -> None:
    """The header of the column leads to the other order, with the same filters."""
    ids = [fold.create(job_type="nightly") for _ in range(51)]
    _, app = make_monitor(fold)
    html = await get(app, "/monitor?job_type=nightly&order=oldest")
    (following,) = re.findall(r'id="next-page" href="(.*?)"', html)
    rest = await get(app, following.replace("&amp;", "&"))

    assert re.findall(r'<tr id="job-(.*?)"', html) == ids[:50]
    assert re.findall(r'<tr id="job-(.*?)"', rest) == ids[50:]
    assert 'aria-sort="ascending"><a href="/monitor?job_type=nightly">Created' in html
    assert 'href="/monitor?job_type=nightly&amp;order=oldest">Created' in (
        await get(app, "/monitor?job_type=nightly")
    )


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("", "cab"), ("free", "bca"), ("-free", "acb"), ("pool", "cab"), ("-executor", "cba")],
)
async def test_executors_page_is_sorted_by_the_column_of_its_url(
    fold: FoldedJobs, sort: str, expected: str
) -> None:
    """`-` stands for the descending order."""
    for name, pool, free in (("a", "blue", 9), ("b", "blue", 0), ("c", "a", 5)):
        fold.add_executor(
            ExecutorHeartbeat(executor_id=f"e-{name}", pool=pool, slots=9, free_slots=free)
        )
    _, app = make_monitor(fold)
    html = await get(app, f"/monitor/executors?sort={sort}")

    assert "".join(re.findall(r'<tr id="executor-e-(.)"', html)) == expected


async def test_job_types_page_is_sorted_by_the_column_of_its_url(fold: FoldedJobs) -> None:
    """The header says which column that is, and a second click reverses the order."""
    for name, count in (("few", 1), ("many", 3)):
        for _ in range(count):
            fold.create(job_type=name)
    _, app = make_monitor(fold)
    html = await get(app, "/monitor/job-types?sort=-waiting")

    assert re.findall(r'<tr id="type-\S+-(\w+)"', html) == ["many", "few"]
    assert 'aria-sort="descending"><a href="/monitor/job-types?sort=waiting">' in html
    assert 'sse-connect="/monitor/job-types/live?sort=-waiting"' in html


async def test_completed_job_with_a_failed_attempt_shows_no_failure(fold: FoldedJobs) -> None:
    """A job that runs again names its last failed attempt, folded."""
    job_id = fold.create()
    fold.start(job_id, max_attempts=2)
    fold.fail(job_id, "The region is closed.")
    _, app = make_monitor(fold)
    waiting = await get(app, f"/monitor/jobs/{job_id}")
    fold.retry_and_complete(job_id)
    completed = await get(app, f"/monitor/jobs/{job_id}")

    assert "Attempt 1 failed: HandlerError" in text_of(waiting)
    assert 'class="failure"' not in waiting + completed
    assert "Completed" in completed


async def test_executor_page_shows_its_heartbeat_its_runs_and_what_differs(
    fold: FoldedJobs,
) -> None:
    """A run that it holds by the log and does not list, and one that it claimed, have a note."""
    runs, unlisted, claimed = (fold.create(job_type=name) for name in ("a", "b", "c"))
    for job_id in (runs, unlisted):
        fold.start(job_id)
    fold.progress(runs, 0.5, "half way")
    fold.add_executor(
        ExecutorHeartbeat(
            executor_id=EXECUTOR,
            pool="blue",
            version="fabric-jobs 0.1.0",
            slots=4,
            free_slots=1,
            hung_slots=1,
            runs=(Run(runs, 1), Run(claimed, 1)),
        )
    )
    _, app = make_monitor(fold)
    html = await get(app, f"/monitor/executor?id={EXECUTOR}")
    rows = {row[:36]: text_of(row) for row in re.findall(r'<tr id="run-(.*?)</tr>', html, re.S)}

    assert "Pool blue Version fabric-jobs 0.1.0 Free slots 1 of 4 Hung handlers 1" in text_of(html)
    assert "1 of 4 slots are held by handlers that do not end" in text_of(html)
    assert re.search(r"InProgress a 1 \S+ \d+ s 50 % half way", rows[runs])
    assert rows[unlisted].endswith("not in its last heartbeat")
    assert "NotStarted c 1 claimed, and not granted yet" in rows[claimed]
    assert f'href="/monitor?executor={EXECUTOR}"' in html


async def test_executor_page_of_a_silent_executor_shows_what_the_log_gives_it(
    fold: FoldedJobs,
) -> None:
    """The page says that no heartbeat arrived."""
    job_id = fold.create()
    fold.start(job_id)
    _, app = make_monitor(fold)
    html = await get(app, f"/monitor/executor?id={EXECUTOR}")

    assert "No heartbeat of this executor arrived" in html
    assert f'id="run-{job_id}-1"' in html


async def test_job_page_links_to_the_log_lines_of_its_attempt(fold: FoldedJobs) -> None:
    """The address has the job, the attempt, and the time from its start to its end."""
    job_id = fold.create()
    fold.start(job_id)
    fold.complete(job_id)
    template = "https://logs.test/?q={job_id}/{attempt}&from={start}&to={end_ms}"
    _, app = make_monitor(fold, monitor_log_url=template)
    html = unescape(await get(app, f"/monitor/jobs/{job_id}"))
    stored = fold.replica.get(job_id)
    assert stored
    state = stored.job.state
    assert state.attempt_start_time
    assert state.end_time
    start = state.attempt_start_time.isoformat(timespec="milliseconds")[:23].replace(":", "%3A")

    assert f'href="https://logs.test/?q={job_id}/1&from={start}Z&to=' in html
    assert f'&to={int(state.end_time.timestamp() * 1000)}"' in html


async def test_jobs_page_names_the_paused_types(fold: FoldedJobs) -> None:
    """The summary of each page has their number."""
    fold.create(job_type="nightly")
    _, app = make_monitor(fold)
    form = {"item_type": "Contoso.Sales.Report", "job_type": "nightly", "reason": "maintenance"}
    async with browser_client(app) as client:
        before = text_of((await client.get("/monitor")).text)
        await client.post("/monitor/job-types/pause", data=form)
        after = (await client.get("/monitor")).text

    assert "Paused types" not in before
    assert '<dt>Paused types</dt><dd><a href="/monitor/job-types" title="nightly">1</a>' in after


async def test_job_page_without_the_key_names_it_and_with_the_key_shows_everything() -> None:
    """A sentence stands for each sealed text; the page's other parts stay as they are."""
    fold = FoldedJobs(sealing())
    job_id = fold.create(payload=b'{"table": "salaries"}')
    fold.start(job_id, max_attempts=1)
    fold.fail(job_id, "no salaries")
    _, app = make_monitor(fold)
    shown = await get(app, f"/monitor/jobs/{job_id}")
    fold.secrets = sealing(NEW_KEY)
    _, app = make_monitor(fold)
    sealed, listed = await get(app, f"/monitor/jobs/{job_id}"), await get(app, "/monitor")

    assert shown.count("salaries") > 1
    assert "salaries" not in sealed + listed
    assert "The payload is sealed. It is sealed with the key old" in sealed
    assert "The text is sealed. It is sealed with the key old" in sealed


async def test_job_page_without_the_payloads_key_shows_the_size_of_the_checkpoint() -> None:
    """The checkpoint was sealed with a later key, which the facade has."""
    fold = FoldedJobs(sealing())
    job_id = fold.create(payload=b'{"table": "salaries"}')
    fold.start(job_id)
    fold.secrets = sealing(NEW_KEY, OLD_KEY)
    fold.save_checkpoint(job_id, b'{"row":7}')
    fold.secrets = sealing(NEW_KEY)
    _, app = make_monitor(fold)
    shown = text_of(await get(app, f"/monitor/jobs/{job_id}"))

    assert "The payload is sealed." in shown
    assert "Checkpoint 9 bytes" in shown


async def test_tables_of_a_bulk_question_and_of_an_executor_show_sealed_texts_opened() -> None:
    """Without the key, a sentence stands for each."""
    fold = FoldedJobs(sealing())
    failed, running = fold.create(), fold.create()
    for job_id in (failed, running):
        fold.start(job_id, max_attempts=1)
    fold.fail(failed, "no salaries")
    fold.progress(running, 0.5, "reads salaries")
    paths = [
        "/monitor?status=Failed",
        "/monitor/bulk/retry?status=Failed",
        f"/monitor/executor?id={EXECUTOR}",
    ]
    _, app = make_monitor(fold)
    shown = [await get(app, path) for path in paths]
    fold.secrets = sealing(NEW_KEY)
    _, app = make_monitor(fold)
    sealed = [await get(app, path) for path in paths]

    assert all("salaries" in page for page in shown)
    assert not any("salaries" in page for page in sealed)
    assert all("The text is sealed." in page for page in sealed)
