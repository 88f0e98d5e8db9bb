"""How many durable appends a second: `python -m tests.bench.appends [--connections 64] [--streams 1]`."""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import httpx
import uvloop

EVENT = json.dumps(
    {"type": "message", "payload": {"text": "x" * 130}, "author_agent_id": "b3b0c1de-0000-4000-8000-000000000001"}
).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "streams.serving.alone", folder, "--open", "--port", str(port)]
        )
        try:
            for number in range(given.streams):
                create(port, f"/v1/stream/oak/bench{number}")
            runs = [uvloop.run(load(port, given.connections, given.streams, given.seconds)) for _ in range(given.runs)]
        finally:
            server.terminate()
            server.wait()
    rates, middles = zip(*runs, strict=True)
    print(
        f"appends/s {statistics.median(rates):.0f} (runs: {', '.join(f'{rate:.0f}' for rate in rates)}), "
        f"p50 {statistics.median(middles) * 1000:.1f} ms, {len(EVENT)} bytes, "
        f"{given.connections} connections, {given.streams} streams"
    )


async def load(port: int, connections: int, streams: int, seconds: float) -> tuple[float, float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(writer(port, f"/v1/stream/oak/bench{n % streams}", until, took) for n in range(connections)))
    return len(took) / seconds, statistics.median(took)


async def writer(port: int, path: str, until: float, took: list[float]) -> None:
    """One connection that appends, waits for the answer and appends again."""
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(EVENT)}\r\n\r\n"
    request = head.encode() + EVENT
    while (began := time.perf_counter()) < until:
        writing.write(request)
        answer = await reading.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 204"), answer
        took.append(time.perf_counter() - began)
    writing.close()


def create(port: int, path: str) -> None:
    for _ in range(100):
        try:
            headers = {"Content-Type": "application/json", "Arbe-Envelope": "true"}
            assert httpx.put(f"http://127.0.0.1:{port}{path}", headers=headers).status_code == 201
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit("The server did not start.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
