"""`/livez` and `/metrics` of an executor."""

import asyncio
import socket
import threading

import httpx
import pytest

from fabric_jobs.executor import probes
from fabric_jobs.executor.probes import serve_probes
from fabric_jobs.runtime.settings import SettingsError


@pytest.fixture(autouse=True)
def _stop_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the servers of the tests stop without a delay."""
    monkeypatch.setattr(probes, "STOP_POLL_S", 0.01)


@pytest.fixture
def address() -> str:
    """The address of a free port."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    return f"127.0.0.1:{port}"


async def test_livez_with_a_running_loop_is_200(address: str) -> None:
    """No authentication is needed. Another path is 404."""
    async with (
        serve_probes(address, list),
        httpx.AsyncClient(base_url=f"http://{address}") as client,
    ):
        live, other = await client.get("/livez"), await client.get("/")

    assert (live.status_code, live.json()) == (200, {"ok": True, "reasons": []})
    assert other.status_code == 404


async def test_livez_on_an_ipv6_address_is_200(ipv6_port: int) -> None:
    """The setting takes an IPv6 address in brackets."""
    address = f"[::1]:{ipv6_port}"
    async with serve_probes(address, list), httpx.AsyncClient() as client:
        live = await client.get(f"http://{address}/livez")

    assert live.status_code == 200


async def test_livez_with_a_blocked_loop_is_503(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread answers, because the blocked loop can't."""
    monkeypatch.setattr(probes, "LOOP_TIMEOUT_S", 0.2)
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.get(f"http://{address}/livez", timeout=30))

    async with serve_probes(address, list):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()  # blocks the loop

    assert answers[0].status_code == 503
    assert answers[0].json() == {"ok": False, "reasons": ["The event loop is blocked."]}


async def test_livez_while_every_slot_is_lost_is_503(address: str) -> None:
    """An orchestrator then starts the executor again."""
    reason = "All slots, 2, are held by handlers that do not end."
    async with (
        serve_probes(address, lambda: [reason]),
        httpx.AsyncClient(base_url=f"http://{address}") as client,
    ):
        live = await client.get("/livez")

    assert (live.status_code, live.json()) == (503, {"ok": False, "reasons": [reason]})


async def test_metrics_are_in_the_text_format_of_prometheus(address: str) -> None:
    """The content type names version 0.0.4, which every Prometheus can read."""
    async with (
        serve_probes(address, list),
        httpx.AsyncClient(base_url=f"http://{address}") as client,
    ):
        answer = await client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE process_resident_memory_bytes gauge" in answer.text


async def test_probes_on_a_port_in_use_raise_settings_error(address: str) -> None:
    """The message names the setting, its value and the reason."""
    async with serve_probes(address, list):
        with pytest.raises(SettingsError, match=f"FABRIC_JOBS_METRICS_ADDRESS={address}: Address"):
            async with serve_probes(address, list):
                pass


async def test_probes_after_their_end_leave_the_port_free(address: str) -> None:
    """An executor can be started again with the same address."""
    async with serve_probes(address, list):
        pass
    async with serve_probes(address, list):
        await asyncio.sleep(0)
