"""`python -m tests.screenshots`: take the README's pictures of the job monitor."""

import asyncio
import shutil
import uuid
from datetime import timedelta

from playwright.async_api import async_playwright

from fabric_jobs.contract.heartbeats import ExecutorHeartbeat, Run
from tests.support.chromium import ARGUMENTS, await_live, open_page, serve
from tests.support.monitor import EXECUTOR, FoldedJobs, make_monitor
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
SIZE = {"width": 1100, "height": 500}


#: Ended jobs: minutes ago, job type, item type, seconds of the run, and the error code.
ENDED = [
    (64, "refresh", "Report", 41.0, ""),
    (52, "train", "Model", 600.0, "HandlerError"),
    (47, "refresh", "Report", 38.0, ""),
    (33, "export", "Lakehouse", 7.2, ""),
    (31, "refresh", "Report", 44.0, ""),
    (18, "import", "Lakehouse", 0.4, "PayloadInvalid"),
    (12, "export", "Lakehouse", 9.1, ""),
]
#: Running jobs: seconds ago, job type, item type, and the progress.
RUNNING = [
    (250, "train", "Model", 0.37),
    (95, "refresh", "Report", 0.9),
    (20, "export", "Lakehouse", 0.12),
]


def busy() -> FoldedJobs:
    """A monitor's state with the jobs of an hour."""
    fold = FoldedJobs()
    for minutes, job_type, item, took_s, code in ENDED:
        job_id = start(fold, minutes * 60, job_type, item)
        fold.progress(job_id, 0.6)
        fold.age -= timedelta(seconds=took_s)
        if code:
            fold.fail(job_id, "It did not work out.", code)
        else:
            fold.complete(job_id)
    fold.age = timedelta(minutes=5)
    fold.cancel(create(fold, "train", "Model"))
    runs = []
    for seconds, job_type, item, fraction in RUNNING:
        runs.append(start(fold, seconds, job_type, item))
        fold.progress(runs[-1], fraction)
    fold.age = timedelta(seconds=4)
    create(fold, "refresh", "Report")
    held = tuple(Run(job_id, 1) for job_id in runs)
    fold.add_executor(ExecutorHeartbeat(executor_id=EXECUTOR, slots=10, free_slots=7, runs=held))
    return fold


def start(fold: FoldedJobs, seconds: float, job_type: str, item: str) -> str:
    """Create a job that an executor started this many seconds ago; its id."""
    fold.age = timedelta(seconds=seconds)
    job_id = create(fold, job_type, item)
    fold.start(job_id)
    return job_id


def create(fold: FoldedJobs, job_type: str, item: str) -> str:
    """Create a job on a new item; its id."""
    item_id = str(uuid.uuid4())
    return fold.create(job_type=job_type, item_type=f"Contoso.Sales.{item}", item_id=item_id)


async def main() -> None:
    """Take the picture of each theme."""
    made, app = make_monitor(busy())
    async with serve(app) as url, async_playwright() as driver:
        chromium = shutil.which("chromium")
        browser = await driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for scheme in ("light", "dark"):
            page_url = f"{url}/monitor"
            async with open_page(browser, page_url, color_scheme=scheme, viewport=SIZE) as page:
                await await_live(page)
                await page.screenshot(path=DOCS / f"monitor-{scheme}.png")
        await browser.close()
        made.stop()


if __name__ == "__main__":
    asyncio.run(main())
