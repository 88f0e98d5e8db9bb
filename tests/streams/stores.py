"""Stores to run the same tests against: one in files alone, and one of several copies that a JetStream cluster orders.

The cluster is real: three `nats-server` processes on free loopback ports, with folders of their own.
"""

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.js.errors import NotFoundError

from streams.offsets import START
from streams.storage.jetstream import FAILURES, NAME, OrderedLog
from streams.storage.replica import Replica
from streams.storage.store import Store
from streams.terms import Append, Settings

JSON = Settings("application/json")
BYTES = Settings("application/octet-stream")
PROGRAM = shutil.which("nats-server") or "/usr/sbin/nats-server"
CONFIG = """
server_name: n{number}
host: 127.0.0.1
port: {port}
max_payload: {max_payload}
jetstream {{ store_dir: "{folder}", max_mem: 256MB, max_file: 4GB }}
cluster {{ name: arbe, host: 127.0.0.1, port: {route}, routes: [{routes}] }}
"""


class Nats:
    """A cluster of three nodes, each of which may be killed and started again."""

    def __init__(self, folder: Path, max_payload: str = "16MB", count: int = 3) -> None:
        self.folder, self.count = folder, count
        ports = free_ports(2 * count)
        self.ports, routes = ports[:count], ports[count:]
        self.addresses = [f"nats://127.0.0.1:{port}" for port in self.ports]
        self.processes: dict[int, subprocess.Popen] = {}
        told = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in routes)
        for number, (port, route) in enumerate(zip(self.ports, routes, strict=True)):
            config = CONFIG if count > 1 else CONFIG.partition("cluster {{")[0]
            values = {"port": port, "route": route, "routes": told, "folder": folder / str(number)}
            (folder / f"{number}.conf").write_text(config.format(number=number, max_payload=max_payload, **values))

    def start(self, number: int) -> None:
        command = [PROGRAM, "-c", str(self.folder / f"{number}.conf"), "-l", str(self.folder / f"{number}.log")]
        self.processes[number] = subprocess.Popen(command)

    def start_all(self) -> None:
        for number in range(self.count):
            self.start(number)
        for port in self.ports:
            wait_for_port(port)

    def kill(self, number: int, how: int = signal.SIGKILL) -> None:
        process = self.processes.pop(number)
        process.send_signal(how)
        process.wait(10)

    def stop_all(self) -> None:
        for number in list(self.processes):
            self.kill(number)

    async def js(self):
        """A connection to look at the log with; and to end, when one is done."""
        log = OrderedLog(self.addresses)
        await asyncio.wait_for(log.connect(), 20)
        return log

    async def leader(self) -> int:
        log = await self.js()
        info = await log._js.stream_info(NAME)
        await log.close()
        return int(info.cluster.leader[1:])

    async def forget(self) -> None:
        """The log begins anew, for the next test."""
        log = await self.js()
        until = time.monotonic() + 30
        while True:
            try:
                await log._js.delete_stream(NAME)
                break
            except NotFoundError:
                break  # an earlier try did it
            except FAILURES:  # nodes that came back elect first
                assert time.monotonic() < until
                await asyncio.sleep(0.2)
        await log.close()


@pytest.fixture(scope="session")
def nats(tmp_path_factory) -> Iterator[Nats]:
    """Three nodes for the whole session; whoever kills one starts it again."""
    if not Path(PROGRAM).exists():
        pytest.skip("There is no nats-server on this machine (Debian: apt-get install nats-server).")
    cluster = Nats(tmp_path_factory.mktemp("nats"))
    cluster.start_all()
    yield cluster
    cluster.stop_all()


class Made:
    """Opens stores of one kind; `restart` opens the same again."""

    kind = "files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def open(self, folder: str = "one", **options) -> Store:
        return Store(self.folder / folder, **options)


class MadeInOrder(Made):
    kind = "jetstream"

    def __init__(self, folder: Path, cluster: Nats) -> None:
        super().__init__(folder)
        self.cluster = cluster

    async def open(self, folder: str = "one", **options) -> Replica:
        return await replica(self.folder / folder, self.cluster, **options)


async def replica(folder: Path, cluster: Nats, **options) -> Replica:
    """One that has caught up."""
    opened = Replica(folder, OrderedLog(cluster.addresses), **options)
    await opened.ready(20)
    return opened


@pytest.fixture(params=["files", "jetstream"])
async def opened(request, tmp_path) -> AsyncIterator[Made]:
    """`await opened.open()`: a store of either kind."""
    if request.param == "files":
        yield Made(tmp_path)
        return
    cluster = request.getfixturevalue("nats")
    yield MadeInOrder(tmp_path, cluster)
    await cluster.forget()


@pytest.fixture
async def store(opened) -> AsyncIterator[Store]:
    store = await opened.open()
    yield store
    await store.close()


@asynccontextmanager
async def two(folder: Path, cluster: Nats) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two copies of one store."""
    copies = await asyncio.gather(replica(folder / "a", cluster), replica(folder / "b", cluster))
    try:
        yield tuple(copies)
    finally:
        for copy in copies:
            await copy.close()


def one(text, **rest) -> Append:
    return Append([text.encode()], **rest)


async def made(store, name="oak/log", settings=JSON):
    await store.create(name, settings)
    return await store.find(name)


async def told(store, name="oak/log") -> list[str]:
    """All messages of a JSON stream."""
    stream = await store.find(name)
    raw = (await all_of(store, stream)).decode()
    return raw.split(",") if raw else []


async def all_of(store, stream) -> bytes:
    at, parts = START, []
    while True:
        page = await store.read(stream, at)
        parts.append(page.data)
        at = page.end
        if page.up_to_date:
            return (b"," if stream.is_json else b"").join(part for part in parts if part)


async def same(*copies) -> None:
    """Wait until all of them have decided what any of them has."""
    for _ in range(400):
        if len({copy.sequence for copy in copies}) == 1 and all([await copy.catch_up() for copy in copies]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError([copy.sequence for copy in copies])


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for_port(port: int, patience: float = 10) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
