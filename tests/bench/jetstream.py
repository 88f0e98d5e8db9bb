"""How many appends a second several machines confirm: `python -m tests.bench.jetstream [--connections 64]`.

Three nodes of JetStream and two stream servers, all on this machine, so they share its processors and its disk. Each
append is answered when a majority of the three has it and the server that was asked has it on disk; the figure of one
server in files alone, taken in the same run, says what that costs.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench.appends import create, writer
from tests.streams.copies import Copy
from tests.streams.stores import Nats

PATH = "/v1/stream/oak/bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
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


if __name__ == "__main__":
    main()
