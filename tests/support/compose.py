"""compose.yaml without a container engine: its services run as processes on free ports.

A process gets what a container would get: the image's programs on PATH, only its own environment,
and its folders. Services start in the order of `depends_on`, each after its conditions hold.
`tests/containers` runs the same file on a real engine.
"""

import asyncio
import graphlib
import os
import re
import shlex
import shutil
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.apache_kafka import ENDED_WITH_TESTS, java_command, reserve_port
from tests.support.paths import ROOT

DEADLINE_S = 120
PORT = re.compile(r"\b(?:50\d\d|909\d|9464)\b")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())[
    "services"
]


class Stack:
    """Services of compose.yaml, run in a folder."""

    def __init__(self, folder: Path, **variables: str) -> None:
        """`variables` are those that compose.yaml names."""
        self.folder = folder
        self._variables = variables
        self._reserved = dict[str, socket.socket]()
        self.running: dict[str, Process] = {}
        text = (ROOT / "compose.yaml").read_text()
        self._services: dict[str, dict[str, Any]] = yaml.safe_load(self._moved(text))["services"]
        tools = folder / "tools"
        tools.mkdir()
        self._path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        _write_script(
            tools / "kafka-broker-api-versions.sh",
            [*java_command("kafka-tools"), "org.apache.kafka.tools.BrokerApiVersionsCommand"],
        )
        for config in (ROOT / "deploy").glob("*.[cy]*"):
            (folder / config.name).write_text(self._moved(config.read_text()))

    def port(self, number: int) -> int:
        """The free port that replaces a port of compose.yaml."""
        text = str(number)
        reserved = self._reserved[text] = self._reserved.get(text) or reserve_port()
        moved: int = reserved.getsockname()[1]
        return moved

    @asynccontextmanager
    async def up(self, *names: str) -> AsyncIterator[None]:
        """Run the services and their dependencies until the end of the block."""
        async with AsyncExitStack() as stack:
            stack.callback(self._close)
            for name in self._order(names):
                async with asyncio.timeout(DEADLINE_S):
                    await self._await_conditions(name)
                    self.running[name] = await self._start(name)
                stack.push_async_callback(self.kill, name)
            yield

    async def kill(self, name: str) -> None:
        """kill -9."""
        process = self.running[name]
        if process.returncode is None:
            process.kill()
            await process.wait()

    async def healthy(self, name: str) -> None:
        """Return once the service's health command succeeds."""
        command = self._services[name]["healthcheck"]["test"].replace("/opt/kafka/bin/", "")
        while True:
            process = await self._exec(name, "sh", "-c", f"exec > health.log 2>&1; {command}")
            if await process.wait() == 0:
                return
            assert self.running[name].returncode is None, f"{name} has ended"
            await asyncio.sleep(0.2)

    def _order(self, names: Iterable[str]) -> list[str]:
        needed: dict[str, list[str]] = {}
        todo = list(names)
        while todo:
            name = todo.pop()
            service = self._services[name]
            # A dependency with `required: false` starts only if a caller names it.
            conditions = self._conditions(name)
            needed[name] = [one for one in conditions if conditions[one].get("required", True)]
            if "network_mode" in service:
                needed[name].append(service["network_mode"].removeprefix("service:"))
            todo += [one for one in needed[name] if one not in needed]
        return list(graphlib.TopologicalSorter(needed).static_order())

    def _conditions(self, name: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._services[name].get("depends_on", {})
        return found

    async def _await_conditions(self, name: str) -> None:
        for other, demanded in self._conditions(name).items():
            if other not in self.running:
                continue
            match demanded["condition"]:
                case "service_healthy":
                    await self.healthy(other)
                case "service_completed_successfully":
                    assert await self.running[other].wait() == 0, f"{other} failed"

    async def _start(self, name: str) -> Process:
        image = self._services[name]["image"].partition(":")[0]
        if entrypoint := self._services[name].get("entrypoint"):
            return await self._exec(name, *entrypoint)
        if image == "haproxy":
            return await self._exec(name, "haproxy", "-db", "-f", str(self.folder / "haproxy.cfg"))
        if image == "apache/kafka":
            return await self._start_kafka(name)
        if image == "prom/prometheus":
            command = self._services[name]["command"].replace("/etc/prometheus", str(self.folder))
            return await self._exec(name, "prometheus", *shlex.split(command))
        return await self._exec(name, *shlex.split(self._services[name]["command"]))

    async def _start_kafka(self, name: str) -> Process:
        """Start Kafka as its image does: format a folder by the environment, then run it."""
        folders = {kind: self.folder / name / kind for kind in ("default", "mounted", "final")}
        for folder in folders.values():
            folder.mkdir(parents=True)
        for file in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (folders["default"] / file).touch()
        java = java_command()
        options = [word for kind, at in folders.items() for word in (f"--{kind}-configs-dir", at)]
        wrapper = "kafka.docker.KafkaDockerWrapper"
        setup = await self._exec(name, *java, wrapper, "setup", *map(str, options))
        assert await setup.wait() == 0
        settings = str(folders["final"] / "server.properties")
        return await self._exec(name, *java, "kafka.Kafka", settings)

    async def _exec(self, name: str, *command: str) -> Process:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        environment = self._services[name].get("environment", {})
        variables = {key: self._value(folder, str(text)) for key, text in environment.items()}
        # A shell finds programs that are only on the service's PATH.
        return await asyncio.create_subprocess_exec(
            *(*ENDED_WITH_TESTS, "sh", "-c", 'exec "$@"', "sh", *command),
            cwd=folder,
            env={"PATH": self._path, "HOME": str(folder)} | variables,
        )

    def _value(self, folder: Path, text: str) -> str:
        def variable(match: re.Match[str]) -> str:
            return self._variables.get(match[1], match[2])

        text = re.sub(r"\$\{(\w+):-(\w*)\}", variable, text)
        # A volume of the container is a folder here.
        return str(folder / "volume") if text in ("/state", "/var/lib/kafka/data") else text

    def _moved(self, text: str) -> str:
        """The text with this stack's ports, and with loopback instead of all addresses."""
        text = re.sub(r"(://|bind |address=):", r"\g<1>127.0.0.1:", text)
        return PORT.sub(lambda match: str(self.port(int(match[0]))), text)

    def _close(self) -> None:
        for reserved in self._reserved.values():
            reserved.close()


def _write_script(path: Path, command: list[str]) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)


def why_unavailable() -> str | None:
    """Why this machine can't run the services other than Kafka, or None."""
    for program in ("haproxy", "prometheus"):
        if shutil.which(program) is None:
            return f"no {program} on PATH: install it"
    return None
