"""The seams: what takes the place of the product's ways to the outside, and for how long."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from fabric_jobs.executor.runs.watchdog import watch_event_loop
from fabric_jobs.facade.http import HttpServer, http_app
from fabric_jobs.facade.log.clients import open_admin_client
from fabric_jobs.facade.log.topic import UsableTopic, prepare_topic
from fabric_jobs.facade.replica import Store
from fabric_jobs.facade.startup import composition
from fabric_jobs.runtime.channels import open_channel
from fabric_jobs.runtime.kafka.refusals import explain_refusal
from tests.simulation import http, kafka_clients, rpc, state_files
from tests.simulation.loop import current_place
from tests.simulation.nodes import RecordedStore, WriterThread
from tests.simulation.substitutes import CLOCKS, substituted


@contextmanager
def installed() -> Iterator[None]:
    """Puts the simulation in the place of the product's clocks, clients and servers."""
    server = grpc.aio.server
    grpc.aio.server = _make_server  # type: ignore[assignment]
    composition.print = lambda *_, **__: None  # type: ignore[attr-defined] # hides the builtin
    try:
        with substituted(CLOCKS | SEAMS | state_files.SEAMS):
            yield
    finally:
        grpc.aio.server = server
        del composition.print  # type: ignore[attr-defined]


def _make_server(options: Any = (), interceptors: Any = ()) -> rpc.SimulatedServer:
    return rpc.SimulatedServer(interceptors)


class _AsyncBlock:
    """An asynchronous block that does nothing."""

    def __init__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Any:
        return SimpleNamespace(describe_cluster=_describe_cluster)

    async def __aexit__(self, *_: object) -> None: ...


async def _describe_cluster() -> dict[str, str]:
    return {"cluster_id": kafka_clients.WORLD.cluster.cluster_id}


async def _prepare_topic(admin: object, spec: Any, settings: object) -> UsableTopic:
    await asyncio.sleep(0.01)
    partitions = kafka_clients.WORLD.cluster.partitions[spec.name]
    return UsableTopic(partitions, spec.max_record_bytes)


async def _explain_refusal(*_: object) -> str:
    return ""


class _Parts:
    """Gives the parts of the facade in whose node it is used.

    Litestar's application is built once for all facades, because that takes a tenth of a second.
    """

    def __init__(self) -> None:
        self._by_place: dict[int, Any] = {}

    def put(self, part: object) -> None:
        self._by_place[current_place().number] = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._by_place[current_place().number], name)


_operations, _health = _Parts(), _Parts()
_apps: dict[tuple[Any, ...], Any] = {}


def _http_app(operations: Any, *options: Any) -> Any:
    base_path, body_limit, definition_limit, health, docs = options
    _operations.put(operations)
    _health.put(health)
    key = (base_path, body_limit, definition_limit, docs)
    if key not in _apps:
        proxies: Any = (_operations, _health)
        _apps[key] = http_app(proxies[0], base_path, body_limit, definition_limit, proxies[1], docs)
    return _apps[key]


#: What takes the place of the product's ways to the outside.
SEAMS: dict[Any, Any] = {
    AIOKafkaConsumer: kafka_clients.SimulatedConsumer,
    AIOKafkaProducer: kafka_clients.SimulatedProducer,
    open_admin_client: _AsyncBlock,
    prepare_topic: _prepare_topic,
    explain_refusal: _explain_refusal,
    open_channel: rpc.SimulatedChannel,
    watch_event_loop: _AsyncBlock,
    HttpServer: http.SimulatedHttpServer,
    http_app: _http_app,
    Store: RecordedStore,
    ThreadPoolExecutor: WriterThread,
}
