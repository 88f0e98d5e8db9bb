"""The servers that are compared, each in a process of its own on loopback, all there at once."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import psutil

from arbe.ports import free_port
from tests.streams.upstream import installed

OURS, DISK, MEMORY = "arbe", "Node on disk", "Node in memory"
ROOT = Path(__file__).parents[3]
JSON = {"Content-Type": "application/json"}
_numbers = count()


class Server:
    """One that runs: where it listens, and what it has cost so far."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._process = psutil.Process(pid)

    def processor_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def call(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """The headers of the answer, with small letters."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, JSON)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status in (200, 201, 204), f"{method} {path}: {answer.status} {said[:200]!r}"
            return {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def streams(self, number: int) -> str:
        """New JSON streams; their common path, behind which each has its number from 0."""
        prefix = f"/v1/stream/bench-{next(_numbers)}-"
        for each in range(number):
            self.call("PUT", f"{prefix}{each}")
        return prefix


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(_running(name, folder)) for name in (OURS, DISK, MEMORY)}


@contextmanager
def _running(name: str, folder: Path) -> Iterator[Server]:
    port = free_port()
    if name == OURS:
        command = [sys.executable, "manage.py", "streams", "--open", "--folder", folder / "arbe", "--port", str(port)]
        where = ROOT
    else:
        command = ["node", "serve.mjs", str(port), *([folder / "node"] if name == DISK else [])]
        where = installed()
    # Node ends when its input does; what it tells of slow appends is not looked at.
    process = subprocess.Popen(command, cwd=where, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        server = Server(port, process.pid)
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(30)
        process.stdin.close()


def _wait_for(server: Server, process: subprocess.Popen) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            server.call("PUT", "/v1/stream/bench-begins")
        except ConnectionRefusedError:
            assert process.poll() is None, f"a server ended with {process.returncode}"
            assert time.monotonic() < until, "a server did not start"
            time.sleep(0.05)
        else:
            return
