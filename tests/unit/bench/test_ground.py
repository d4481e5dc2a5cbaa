"""The programs that the bench starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import ground as ground_module
from bench.ground import Effort, ground
from fabric_jobs.executor import Executor
from tests.support.apache_kafka import ApacheKafka
from tests.support.programs import Program


async def test_programs_of_the_bench_are_modules_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facade, executor and bare are started by module, and the executor with its handlers."""
    commands: list[tuple[str, ...]] = []

    @asynccontextmanager
    async def record_program(*command: str, **options: object) -> AsyncIterator[Program]:
        commands.append(command)
        yield Program(None, {"grpc": "127.0.0.1:1"})  # type: ignore[arg-type] # not started

    monkeypatch.setattr(ground_module, "program", record_program)
    kafka = ApacheKafka(tmp_path / "kafka")
    try:
        with ground(tmp_path / "ground", kafka, Effort(1, 1, 1, 1)) as here:
            async with here.facade("topic") as facade, here.bare(), here.executor("topic", facade):
                pass
    finally:
        kafka.stop()

    assert [find_spec(command[2]) is not None for command in commands] == [True] * 3
    module, _, name = commands[-1][3].partition(":")
    assert isinstance(getattr(__import__(module, fromlist=[name]), name), Executor)
