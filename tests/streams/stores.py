"""Stores to run the same tests against: one in files alone, and one of several copies that a JetStream cluster orders.

The cluster is real: three `nats-server` processes on free loopback ports, with folders of their own.
"""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
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
LONG = 60.0  # seconds, for what takes one: the machine may be busy, and a cluster that starves elects anew
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
        self.was_struck = False
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
            wait_for_port(port, LONG)
        self.was_struck = False

    def kill(self, number: int) -> None:
        self.was_struck = True
        process = self.processes.pop(number)
        process.kill()
        process.wait(LONG)

    def stop_all(self) -> None:
        for number in list(self.processes):
            self.kill(number)

    @asynccontextmanager
    async def log(self) -> AsyncIterator[OrderedLog]:
        """A connection to look at the log with."""
        log = OrderedLog(self.addresses)
        try:
            await asyncio.wait_for(log.connect(), LONG)
            yield log
        finally:
            await log.close()

    async def leader(self) -> int:
        until = time.monotonic() + LONG
        async with self.log() as log:
            while True:
                try:
                    info = await log._js.stream_info(NAME)
                    if info.cluster.leader:
                        return int(info.cluster.leader[1:])
                except FAILURES:  # between two leaders
                    pass
                assert time.monotonic() < until
                await asyncio.sleep(0.2)

    async def forget(self) -> None:
        """The log begins anew, for the next test; and so does the whole cluster, if a node of it was killed.

        How long nodes that were struck dead take until they agree again is for NATS to say, and is not waited for.
        """
        if self.was_struck:
            self.stop_all()
            for number in range(self.count):
                shutil.rmtree(self.folder / str(number), ignore_errors=True)
            self.start_all()
            return
        until = time.monotonic() + LONG
        async with self.log() as log:
            while True:
                try:
                    await log._js.delete_stream(NAME)
                    return
                except NotFoundError:
                    return  # an earlier try did it
                except FAILURES:  # they elect
                    assert time.monotonic() < until
                    await asyncio.sleep(0.2)


@pytest.fixture(scope="session")
def nats(tmp_path_factory) -> Iterator[Nats]:
    """Three nodes for the whole session; whoever kills one starts it again."""
    if not Path(PROGRAM).exists():
        pytest.skip("There is no nats-server on this machine (Debian: apt-get install nats-server).")
    cluster = Nats(tmp_path_factory.mktemp("nats"))
    try:
        cluster.start_all()
        yield cluster
    finally:
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
    opened = Replica(folder, OrderedLog(cluster.addresses), **{"behind": LONG} | options)
    try:
        await opened.ready(LONG)
        assert await opened.catch_up()
    except BaseException:
        await opened.close()
        raise
    return opened


@pytest.fixture(params=["files", "jetstream"])
async def opened(request, tmp_path) -> AsyncIterator[Made]:
    """`await opened.open()`: a store of either kind."""
    if request.param == "files":
        yield Made(tmp_path)
        return
    cluster = request.getfixturevalue("nats")
    try:
        yield MadeInOrder(tmp_path, cluster)
    finally:
        await cluster.forget()


@pytest.fixture
async def store(opened) -> AsyncIterator[Store]:
    store = await opened.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def two(folder: Path, cluster: Nats, **options) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two copies of one store."""
    async with AsyncExitStack() as open_ones:
        copies = []
        for name in "ab":
            copies.append(await replica(folder / name, cluster, **options))
            open_ones.push_async_callback(copies[-1].close)
        yield tuple(copies)


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
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        if len({copy.sequence for copy in copies}) == 1 and all([await copy.catch_up() for copy in copies]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError([copy.sequence for copy in copies])


async def until_so(is_so) -> None:
    until = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


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
