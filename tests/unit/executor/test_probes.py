"""The executor's own port."""

import asyncio
import socket
import threading

import httpx
import pytest

from fabric_jobs.executor import probes
from fabric_jobs.executor.probes import answering
from fabric_jobs.runtime.settings import SettingsError


@pytest.fixture
def address() -> str:
    """A free port's."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    return f"127.0.0.1:{port}"


async def test_a_loop_that_answers_lives(address: str) -> None:
    """Whoever asks is told, under the path and no other."""
    async with answering(address), httpx.AsyncClient(base_url=f"http://{address}") as client:
        live, other = await client.get("/livez"), await client.get("/")

    assert (live.status_code, live.json()) == (200, {"ok": True, "reasons": []})
    assert other.status_code == 404


async def test_it_answers_on_ipv6(ipv6_port: int) -> None:
    """Where the setting says so."""
    address = f"[::1]:{ipv6_port}"
    async with answering(address), httpx.AsyncClient() as client:
        live = await client.get(f"http://{address}/livez")

    assert live.status_code == 200


async def test_a_loop_that_is_blocked_does_not_live(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't answer itself, so another thread does."""
    monkeypatch.setattr(probes, "ANSWER_S", 0.2)
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.get(f"http://{address}/livez", timeout=30))

    async with answering(address):
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join()  # here the loop stands still

    assert answers[0].status_code == 503
    assert answers[0].json() == {"ok": False, "reasons": ["The event loop is blocked."]}


async def test_metrics_are_served(address: str) -> None:
    """In the form that every Prometheus reads."""
    async with answering(address), httpx.AsyncClient(base_url=f"http://{address}") as client:
        answer = await client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE process_resident_memory_bytes gauge" in answer.text


async def test_a_port_that_is_taken_is_the_setting_s_fault(address: str) -> None:
    """One line, which names it."""
    async with answering(address):
        with pytest.raises(SettingsError, match=f"FABRIC_JOBS_METRICS_ADDRESS={address}: Address"):
            async with answering(address):
                pass


async def test_the_port_is_free_again_afterwards(address: str) -> None:
    """Also for another run of the same executor."""
    async with answering(address):
        pass
    async with answering(address):
        await asyncio.sleep(0)
