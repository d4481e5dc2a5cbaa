"""Handlers that use access tokens. They use the public API of the executor only."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from fabric_jobs.executor import Executor, Job, Retry
from tests.support.user_authority import hash_of

executor = Executor()
SCOPE = "https://storage.azure.com/.default"


class Use(msgspec.Struct):
    """What the handler does with tokens."""

    #: The path of a file. The handler appends the SHA-256 of each token that it gets.
    journal: str
    #: The path of a file. The handler goes on until it exists. Empty: it ends after one token.
    until: str = ""


def note(use: Use, token: str) -> None:
    """Appends the token's hash to the journal, never the token."""
    with Path(use.journal).open("a") as journal:
        journal.write(f"{hash_of(token)}\n")


@executor.job("Test.Item", "user", retry=Retry(max_attempts=2, initial_s=0.1))
async def use_user_token(job: Job[Use]) -> None:
    """Uses tokens of the user, again and again."""
    while True:
        note(job.payload, await job.access_token(SCOPE))
        if not job.payload.until or Path(job.payload.until).exists():
            return
        await asyncio.sleep(0.1)


@executor.job("Test.Item", "sync")
def use_credential(job: Job[Use]) -> None:
    """Uses the credential of a `def` handler, as the Azure SDK does."""
    with job.credential() as credential:
        token = credential.get_token(SCOPE)
    assert token.expires_on > time.time()
    assert token.token not in repr(token)
    note(job.payload, token.token)
    assert job.access_token(SCOPE).result() == token.token


@executor.job("Test.Item", "process", run_in="process")
def use_credential_in_process(job: Job[Use]) -> None:
    """Does the same in a process of its own."""
    use_credential(job)


@executor.job("Test.Item", "async-credential")
async def use_async_credential(job: Job[Use]) -> None:
    """Uses the credential of the Azure SDK's `aio` modules."""
    async with job.async_credential() as credential:
        note(job.payload, (await credential.get_token(SCOPE)).token)


@executor.job("Test.Item", "app")
async def use_app_token(job: Job[Use]) -> None:
    """Uses the workload's own token, and both in one header."""
    note(job.payload, await job.app_access_token(SCOPE))
    header = await job.workload_authorization()
    assert header.startswith('SubjectAndAppToken1.0 subjectToken="ey')
    assert '", appToken="ey' in header


@executor.job("Test.Item", "blocking")
async def block_the_loop(job: Job[Any]) -> None:
    """Calls what only a thread may call."""
    job.credential().get_token(SCOPE)
