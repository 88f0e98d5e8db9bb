"""What the store takes: memory, files and time. `python -m tests.bench.store [--big MEGABYTES] [--streams COUNT]`"""

import argparse
import asyncio
import gc
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import httpx

from streams.storage.committing import JOURNAL_SIZE
from streams.storage.store import Store
from streams.terms import Append, Settings

JSON, BYTES = Settings("application/json"), Settings("application/octet-stream")


def resident(process="self"):
    """Bytes of memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def say(what, how_much):
    print(f"{what:<76} {how_much:>20}", flush=True)


async def longest_pause(stop):
    """Seconds for which the event loop did nothing else."""
    longest, last = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def small_streams(folder, count):
    """Creating many: how quick, how long a flush of them takes and holds up others, what is open, what they weigh."""
    store = Store(folder, idle=count)
    stop = asyncio.Event()
    pausing = asyncio.create_task(longest_pause(stop))
    began = time.perf_counter()
    for first in range(0, count, 1000):
        names = range(first, min(count, first + 1000))
        await asyncio.gather(*(store.create(f"oak/{n}", JSON, Append([b'"hello"'])) for n in names))
    say(f"creating {count:,} streams of one message, 1,000 at once", f"{count / (time.perf_counter() - began):,.0f}/s")
    stop.set()
    say("  longest pause of the event loop meanwhile", f"{await pausing * 1000:,.0f} ms")
    began = time.perf_counter()
    await store.settle()
    await store.close()
    took = time.perf_counter() - began
    say(f"  laying {count:,} into files, while nothing else happens", f"{took:,.1f} s, {count / took:,.0f}/s")
    store = Store(folder, idle=count)
    began, some = time.perf_counter(), range(0, count, 10)
    for n in some:
        await store.find(f"oak/{n}")
    took = time.perf_counter() - began
    say("finding a stream that is not in memory", f"{took / len(some) * 1e6:,.0f} µs")
    tracemalloc.start()
    for n in some:
        await store.find(f"oak/{n + 1}")
    gc.collect()
    say("memory of a stream that nobody uses", f"{tracemalloc.get_traced_memory()[0] / len(some):,.0f} bytes")
    tracemalloc.stop()
    say("files open", f"{len(os.listdir('/proc/self/fd'))} (of {store.files.most_open} + few)")
    await store.close()
    store = Store(folder)
    before = resident()
    for n in range(count):
        await store.find(f"oak/{n}")
    say(f"memory after looking at {count:,}, as many kept as usual", f"{(resident() - before) / 1e6:,.0f} MB")
    began = time.perf_counter()
    assert len(await store.names()) == count
    say("naming all of them", f"{time.perf_counter() - began:.1f} s")
    await store.close()


async def one_big_stream(folder, megabytes):
    """Whose middle is read after a start."""
    store = Store(folder)
    await store.create("oak/big", JSON)
    stream = await store.find("oak/big")
    messages = [b'"%s"' % (b"x" * 998)] * 1000
    stop = asyncio.Event()
    pausing = asyncio.create_task(longest_pause(stop))
    began = time.perf_counter()
    for _ in range(megabytes):
        await store.append(stream, Append(messages))
    say(f"appending {megabytes:,} MB, 1 MB at once", f"{megabytes / (time.perf_counter() - began):,.0f} MB/s")
    stop.set()
    say("  longest pause of the event loop meanwhile", f"{await pausing * 1000:,.0f} ms")
    say("  segments", f"{len(stream.segments)}")
    tail = stream.tail
    await store.close()
    del stream
    gc.collect()
    before, began = resident(), time.perf_counter()
    store = Store(folder)
    stream = await store.find("oak/big")
    say("first look at it after a start", f"{(time.perf_counter() - began) * 1000:.1f} ms")
    middle = tail._replace(messages=tail.messages // 2, bytes=tail.bytes // 2)
    began = time.perf_counter()
    page = await store.read(stream, middle, most=100)
    assert page.end.messages == middle.messages + 100
    say("first page from its middle", f"{(time.perf_counter() - began) * 1000:.1f} ms")
    began = time.perf_counter()
    for _ in range(100):
        await store.read(stream, middle, most=100)
    say("  the same page again", f"{(time.perf_counter() - began) * 10:.2f} ms")
    at, began = middle._replace(messages=0, bytes=0), time.perf_counter()
    while at != tail:
        at = (await store.read(stream, at)).end
    say("reading all of it, 1 MB at once", f"{megabytes / (time.perf_counter() - began):,.0f} MB/s")
    say("memory for it afterwards", f"{(resident() - before) / 1e6:,.1f} MB")
    await store.close()


async def start(folder):
    """Over a journal that is as long as it gets."""
    store = Store(folder / "first")
    await store.create("oak/log", JSON)
    stream = await store.find("oak/log")
    while store._commits._journal.size < JOURNAL_SIZE * 0.95:
        await asyncio.gather(*(store.append(stream, Append([b'"%s"' % (b"x" * 198)])) for _ in range(1000)))
    shutil.copytree(folder / "first", folder / "killed")
    await store.close()
    began = time.perf_counter()
    store = Store(folder / "killed")
    say("start over a journal of 64 MB of small messages", f"{time.perf_counter() - began:.1f} s")
    await store.close()


def slow_reader(folder):
    """Of a tail that grows by 200 MB while it does not read."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "streams.serving.alone", folder, "--open", "--port", str(port)])
    try:
        url, kind = f"http://127.0.0.1:{port}/v1/stream/oak/log", {"Content-Type": "application/octet-stream"}
        with httpx.Client(timeout=60, transport=httpx.HTTPTransport(retries=20)) as http:
            for _ in range(100):
                try:
                    http.put(url, headers=kind)
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            for _ in range(140):
                http.post(url, content=bytes(1 << 20), headers=kind)
            time.sleep(3)
            before, readers = resident(server.pid), []
            for _ in range(20):
                reader = socket.create_connection(("127.0.0.1", port))
                reader.sendall(b"GET /v1/stream/oak/log?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n")
                readers.append(reader)
            time.sleep(3)
            say(
                "memory of an SSE reader that does not read, of 140 MB",
                f"{(resident(server.pid) - before) / 2e7:.1f} MB",
            )
            for reader in readers:
                reader.close()
    finally:
        server.terminate()
        server.wait(20)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--big", type=int, default=1024)
    parser.add_argument("--streams", type=int, default=100_000)
    given = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(start(folder / "start"))
        asyncio.run(one_big_stream(folder / "big", given.big))
        asyncio.run(small_streams(folder / "small", given.streams))
        slow_reader(folder / "slow")


if __name__ == "__main__":
    main()
