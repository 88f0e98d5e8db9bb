"""A stream server over one copy of a store, in a process of its own that may be killed and started again.

`python -m tests.streams.copies FOLDER PORT JOURNAL_SIZE ADDRESS…`; without an address, over a store of files alone.
"""

import subprocess
import sys
import time
from pathlib import Path

import httpx

from streams.serving.alone import Alone
from streams.serving.server import StreamServer
from streams.storage.jetstream import OrderedLog
from streams.storage.replica import Replica
from streams.storage.store import Store
from streams.wire import OpenDoor
from tests.streams.stores import LONG, free_ports


class Copy:
    """One node of ours."""

    def __init__(self, folder: Path, addresses: list[str], journal_size: int = 64 << 20) -> None:
        self.folder, self.addresses, self.journal_size = folder, addresses, journal_size
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}/v1/stream/"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.streams.copies", str(self.folder), str(self.port)]
        self.process = subprocess.Popen([*command, str(self.journal_size), *self.addresses])
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            assert self.process.poll() is None
            try:
                httpx.head(self.url + "oak/nothing")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("It did not start.")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(LONG)
            self.process = None


def main(folder: str, port: str, journal_size: str, *addresses: str) -> None:
    def make() -> StreamServer:
        size = int(journal_size)
        store = Replica(folder, OrderedLog(addresses), size) if addresses else Store(folder, size)
        return StreamServer(store, OpenDoor(), long_poll=1.5, sse=5, public=True)

    Alone(make, "127.0.0.1", int(port)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
