"""What the peers on FastAPI take as a create."""

from typing import Any

from pydantic import BaseModel


class Create(BaseModel):
    """The same body that ours takes."""

    invokeType: str  # noqa: N815 - as it is on the wire
    creationPayload: dict[str, Any]  # noqa: N815
