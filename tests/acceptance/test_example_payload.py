"""The command that `fabric-jobs dev` proposes succeeds with the handler's own payload type."""

import shlex
from pathlib import Path

import pytest

from tests.support.command import dev, run

IMPORTS = """
import dataclasses
from enum import Enum
from typing import Annotated
import msgspec
import pydantic
from fabric_jobs.executor import Executor, Job
executor = Executor()
"""
HANDLER = """
@executor.job("Test.Item", "test")
async def handler(job: Job[Payload]) -> None: ...
"""
TYPES = {
    "struct": """
class Part(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=4)]

class Payload(msgspec.Struct):
    rows: Annotated[int, msgspec.Meta(ge=100)]
    parts: Annotated[list[Part], msgspec.Meta(min_length=1)]
    note: str = "it's a default"
""",
    "dataclass": """
class Level(Enum):
    HIGH = "high"

@dataclasses.dataclass
class Payload:
    level: Level
    regions: dict[str, int]
""",
    "pydantic": """
class Payload(pydantic.BaseModel):
    region: str = pydantic.Field(min_length=2, max_length=3)
    limit: float = pydantic.Field(gt=5, alias="maxLimit")
""",
}


@pytest.mark.parametrize("name", TYPES)
async def test_command_that_dev_proposes_completes_as_it_is_printed(
    name: str, tmp_path: Path
) -> None:
    """The payload in the command has a value for each required field."""
    (tmp_path / "my_jobs.py").write_text(IMPORTS + TYPES[name] + HANDLER)
    async with dev("my_jobs:executor", cwd=tmp_path) as running:
        await running.command.wait_for_log("Press Ctrl-C")
        (line,) = (
            line
            for line in running.command.read_log().splitlines()
            if line.startswith("  fabric-jobs submit ")
        )
        _, *arguments = shlex.split(line)
        result = await run(*arguments)

    assert result.stdout[-1:] == ["Completed"], (line, result)
