"""Load for a server: appends by wrk, and catching up with a long stream."""

import json
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from tests.bench.streams.servers import Server

MESSAGE = b'{"t":1700000000000,"user":"u-0000000001","op":"set","path":"/doc/blocks/17/text","value":"%b"}' % (
    b"x" * 108
)
LONG = 50_000_000  # bytes of a long stream
TOGETHER = 2_500  # messages per request when one is filled
_SCRIPT = Path(__file__).with_name("append.lua")


class Taken(NamedTuple):
    """One figure; for appends also what each request cost the server, and how many it did not take."""

    figure: float
    processor: float | None = None  # microseconds
    failed: int = 0


def appends(server: Server, *, connections: int, streams: int = 1, batch: int = 1, seconds: int = 3) -> Taken:
    """Messages a second, over new streams."""
    prefix = server.streams(streams)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{server.port}", "--", prefix, str(streams), str(batch)]
    spent = server.processor_seconds()
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    spent = server.processor_seconds() - spent
    told = json.loads(said.strip().rpartition("\n")[2])
    good = told["requests"] - told["failed"]
    return Taken(good * batch / told["seconds"], spent / told["requests"] * 1e6, told["failed"])


def fill(server: Server) -> str:
    """The path of a new stream of LONG bytes of messages."""
    path = server.streams(1) + "0"
    body = b"[" + b",".join([MESSAGE] * TOGETHER) + b"]"
    for _ in range(LONG // (len(MESSAGE) * TOGETHER)):
        server.call("POST", path, body)
    return path


def catch_up(server: Server, path: str) -> Taken:
    """MB a second from the beginning of a stream to its end, over one connection."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    room = memoryview(bytearray(1 << 20))
    offset, size, began = "-1", 0, time.perf_counter()
    while True:
        connection.request("GET", f"{path}?offset={offset}")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        while got := answer.readinto(room):
            size += got
        offset = answer.getheader("Stream-Next-Offset")
        if answer.getheader("Stream-Up-To-Date") == "true":
            break
    seconds = time.perf_counter() - began
    connection.close()
    assert size > 0.99 * LONG, f"{size} bytes came"
    return Taken(size / 1e6 / seconds)
