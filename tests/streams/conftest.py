"""A real stream server on a free loopback port, with a door that knows Ada and Bo of Oak, and Cy of Elm."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn

from streams.refusals import Refusal
from streams.serving.server import StreamServer
from streams.storage.store import Store
from streams.wire import Caller, Tails
from tests.services import wait_for


@dataclass
class HouseDoor:
    """Keys are names: `arbe` is internal, the others live where `houses` says; `out` were shown the door."""

    houses: dict = field(default_factory=lambda: {"ada": "oak", "bo": "oak", "cy": "elm"})
    out: set = field(default_factory=set)
    tails: Tails = field(default_factory=lambda: Tails(3))

    async def admit(self, scope) -> Caller:
        name = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if name == "arbe":
            return Caller(internal=True)
        if name not in self.houses or name in self.out:
            raise Refusal(401, "not_signed_in", "Sign in first.")
        return Caller(internal=False, agent_id=name, house_id=self.houses[name], credential=f"agent {name}")

    async def still(self, caller, house) -> bool:
        return caller.agent_id not in self.out


@dataclass
class Living:
    """A server that runs, and its parts to look at."""

    url: str
    door: HouseDoor
    rings: list

    def http(self, name="arbe") -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {name}"}, timeout=10)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    port = free_port()
    living = Living(f"http://127.0.0.1:{port}/v1/stream", HouseDoor(), [])
    made = {}

    async def ring(house, stream, upto):
        living.rings.append((house, stream, upto))
        if stream == "broken-bell":
            raise RuntimeError("nobody hears it")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            made["server"] = StreamServer(Store(tmp_path / "streams"), living.door, ring, long_poll=1.5, sse=5)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await made["server"].close()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await made["server"](scope, receive, send)

    config = uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(server, thread)
    yield living
    made["server"].hang_up()
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def as_arbe(living: Living) -> Iterator[httpx.Client]:
    """arbe itself."""
    with living.http("arbe") as http:
        yield http


@pytest.fixture
def as_ada(living: Living) -> Iterator[httpx.Client]:
    """A member of Oak."""
    with living.http("ada") as http:
        yield http


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
