"""The facade's HTTP part that the bench measures has the parts that the product's routes use."""

import sys

from tests.support.programs import Fabric, new_id, program

SETTINGS = {"FABRIC_JOBS_HTTP_ADDRESS": "127.0.0.1:0", "FABRIC_JOBS_AUTHENTICATION": "off"}


async def test_bare_routes_accept_a_create_and_answer_a_poll() -> None:
    """As a facade does, so that the load of the bench is the same."""
    command = (sys.executable, "-m", "bench.bare")
    async with program(*command, environment=SETTINGS) as bare, Fabric(bare) as fabric:
        created = await fabric.create(new_id(), {"rows": 1})
        state = await fabric.state(new_id())

    assert created.status_code == 202, created.text
    assert (state.status_code, state.json()["status"]) == (200, "NotStarted")
