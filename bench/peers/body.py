"""The body of a create of the peers on FastAPI."""

from typing import Any

from pydantic import BaseModel


class Create(BaseModel):
    """The same body as our facade's."""

    invokeType: str  # noqa: N815 - the name in the JSON
    creationPayload: dict[str, Any]  # noqa: N815
