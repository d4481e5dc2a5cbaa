"""The addresses of a facade that is attacked, and the job that an innocent client polls there."""

import uuid
from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Target(NamedTuple):
    """The addresses of the facade that is attacked."""

    host: str
    port: int
    grpc: str

    @property
    def url(self) -> str:
        """The root of the HTTP address."""
        return f"http://{self.host}:{self.port}"


Attack = Callable[[Target], Awaitable[None]]

#: The path of the instances of a job type that nobody serves, and the job that is polled.
INSTANCES = (
    f"/workload/workspaces/{uuid.UUID(int=1)}/items/Test.Item/{uuid.UUID(int=2)}"
    "/jobTypes/quick/instances"
)
JOB = f"{INSTANCES}/{uuid.UUID(int=3)}"
