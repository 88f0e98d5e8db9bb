"""How many appends a second several machines confirm: `python -m tests.bench.jetstream [--connections 64]`.

With `--soak ROUNDS` instead: two stream servers are written to while, in turn, a node of JetStream that leads, one that
does not, the majority of them, and one of the servers are struck dead and come back; nothing acknowledged may be
missing or be there twice. How long the nodes take to agree again is for NATS to say, so no test waits for that.

Three nodes of JetStream and two stream servers, all on this machine, so they share its processors and its disk. Each
append is answered when a majority of the three has it and the server that was asked has it on disk; the figure of one
server in files alone, taken in the same run, says what that costs.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import uvloop

from tests.streams.copies import Copy
from tests.streams.stores import Nats
from tests.streams.under_load import Load, acknowledged, current, followers, under_load

PATH = "/v1/stream/oak/bench"
PATIENCE = 180.0  # seconds that a cluster of which a node died may take
EVENT = json.dumps(
    {"type": "message", "payload": {"text": "x" * 130}, "author_agent_id": "b3b0c1de-0000-4000-8000-000000000001"}
).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--soak", type=int, nargs="?", const=10, metavar="ROUNDS")
    given = parser.parse_args()
    if given.soak:
        asyncio.run(soak(given.soak))
        return
    print(f"{os.cpu_count()} processors for everything, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = Copy(folder / "alone", [])
        measure("one server in files alone", f"{PATH}0", [alone], given)
        cluster = Nats(folder)
        cluster.start_all()
        try:
            copies = [Copy(folder / "a", cluster.addresses), Copy(folder / "b", cluster.addresses)]
            measure("three nodes of JetStream, one server", f"{PATH}1", copies[:1], given)
            measure("three nodes of JetStream, two servers", f"{PATH}2", copies, given)
        finally:
            cluster.stop_all()


def measure(what: str, path: str, copies: list[Copy], given: argparse.Namespace) -> None:
    """Starts the servers, loads them, and says how they did."""
    try:
        for copy in copies:
            copy.start()
        create(copies[0].port, path)
        ports = [copy.port for copy in copies]
        runs = [uvloop.run(load(ports, path, given.connections, given.seconds)) for _ in range(given.runs)]
    finally:
        for copy in copies:
            copy.kill()
    rates, middles, worst = zip(*runs, strict=True)
    print(
        f"{what}: {statistics.median(rates):.0f} appends/s (runs: {', '.join(f'{rate:.0f}' for rate in rates)}), "
        f"p50 {statistics.median(middles) * 1000:.1f} ms, p99 {statistics.median(worst) * 1000:.1f} ms, "
        f"{given.connections} connections",
        flush=True,
    )


async def load(ports: list[int], path: str, connections: int, seconds: float) -> tuple[float, float, float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(writer(ports[n % len(ports)], path, until, took) for n in range(connections)))
    took.sort()
    return len(took) / seconds, took[len(took) // 2], took[len(took) * 99 // 100]


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
    until = time.monotonic() + PATIENCE
    headers = {"Content-Type": "application/json", "Arbe-Envelope": "true"}
    while time.monotonic() < until:
        try:
            if httpx.put(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=20).status_code == 201:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit("The server did not start.")


async def soak(rounds: int) -> None:
    """Says of each death how long it took until every writer had ten more answers."""
    for number in range(rounds):
        for how in (_leader, _follower, _majority, _ours):
            with tempfile.TemporaryDirectory() as name:
                cluster = Nats(Path(name))
                cluster.start_all()
                try:
                    async with under_load(Path(name), cluster, writers=3) as loaded:
                        await acknowledged(loaded, 20, PATIENCE)
                        began = time.monotonic()
                        await how(cluster, loaded)
                        await acknowledged(loaded, 10, PATIENCE)
                        took = time.monotonic() - began
                finally:
                    cluster.stop_all()
            print(
                f"round {number + 1}, {how.__name__[1:]} struck dead and back: {took:.1f} s, all is there", flush=True
            )


async def _leader(cluster: Nats, loaded: Load) -> None:
    await _strike(cluster, loaded, [await cluster.leader()])


async def _follower(cluster: Nats, loaded: Load) -> None:
    await _strike(cluster, loaded, (await followers(cluster))[:1])


async def _majority(cluster: Nats, loaded: Load) -> None:
    dead = [await cluster.leader(), (await followers(cluster))[0]]
    for number in dead:
        cluster.kill(number)
    await asyncio.sleep(3)
    for number in dead:
        cluster.start(number)
    await current(cluster, PATIENCE)


async def _ours(cluster: Nats, loaded: Load) -> None:
    for copy in loaded.copies:
        copy.kill()
        await asyncio.to_thread(copy.start)
        await acknowledged(loaded, 10, PATIENCE)


async def _strike(cluster: Nats, loaded: Load, dead: list[int]) -> None:
    for number in dead:
        cluster.kill(number)
    await acknowledged(loaded, 10, PATIENCE)
    for number in dead:
        cluster.start(number)
    await current(cluster, PATIENCE)


if __name__ == "__main__":
    main()
