"""How soon many watchers of one thread see what is said there: `python -m tests.bench.watchers [--watchers 1000]`.

The watchers are a second process: half of them people with a session of their own, half bots with a token of their own,
each on a websocket that asks for compression as browsers do. The time is from sending the request that says something
until the frame with it has been read. Both processes and the server share this machine's processors.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.acceptance.hands import Hand, Person
from tests.acceptance.system import FIRST_OWNER, System

SAID = re.compile(r"tick (\d+) at ([\d.]+)")
AT_ONCE = 50  # sockets that are being opened
SETTLED = 5  # seconds
WARMING = 5  # messages that are not counted: connections are opened, templates are read
# In a process of arbe's own, as 1,000 people would otherwise have to be shown in one by one.
CREW = """
import json
from django.test import Client
from houses.models import Agent, House, Token
from houses.tenancy import inside
house, keys = {house!r}, []
with inside(house):
    owner = Agent.objects.get(email={owner!r})
    there = House.objects.get()
for number in range({count}):
    if number % 2:
        agent = Agent.objects.create_bot(f"Bot {{number}}", "chat")
    else:
        agent = Agent.objects.create_human(f"Person {{number}}", f"person-{{number}}@bench.example")
    with inside(house, owner):
        there.admit(agent, by=owner)
        text = Token.objects.mint(agent, "bench", by=owner)[1] if number % 2 else ""
    if text:
        keys.append(["Authorization", "Bearer " + text])
    else:
        client = Client()
        client.force_login(agent)
        keys.append(["Cookie", "arbe_session=" + client.cookies["arbe_session"].value])
print("keys " + json.dumps(keys))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=5, help="events a second")
    parser.add_argument("--crowd", help=argparse.SUPPRESS)  # the second process: the address to watch
    given = parser.parse_args()
    if given.crowd:
        uvloop.run(crowd(given.crowd, json.loads(sys.stdin.readline())))
        return
    system = System()
    try:
        system.start()
        owner = Person(system, system.manage("sign_in_link", FIRST_OWNER))
        hand = owner.at_work(owner.found("Bench"))
        for what, how_much, more in told(measure(hand, given.watchers, given.seconds, given.rate)):
            print(f"{what:<76} {how_much:>20}   {more}", flush=True)
    finally:
        system.remove()


def measure(hand: Hand, watchers: int = 1000, seconds: float = 30, rate: float = 5) -> dict[str, float]:
    """Says something `rate` times a second and asks the watchers what they saw."""
    thread = hand.post("threads/", name="watched")["id"]
    said = hand.system.manage("shell", "-c", CREW.format(house=hand.house, owner=FIRST_OWNER, count=watchers))
    keys = said.partition("keys ")[2].splitlines()[0]
    [web] = hand.system.processes("uvicorn")
    before = web.memory_info().rss
    address = f"{hand.system.url}/ws/threads/{hand.house}/{thread}?after=now"
    own = [sys.executable, "-m", "tests.bench.watchers", "--crowd", address]
    crowd = subprocess.Popen(own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert crowd.stdin and crowd.stdout
    try:
        crowd.stdin.write(f"{keys}\n")
        crowd.stdin.flush()
        opened = json.loads(crowd.stdout.readline())
        time.sleep(SETTLED)
        resting = _cpu(web, SETTLED)
        cpu, others, began = sum(web.cpu_times()[:2]), sum(_times(crowd)), time.perf_counter()
        _talk(hand, thread, int(seconds * rate), 1 / rate)
        took = time.perf_counter() - began
        cpu, others = sum(web.cpu_times()[:2]) - cpu, sum(_times(crowd)) - others
        memory = web.memory_info().rss
        time.sleep(SETTLED)
        crowd.stdin.write("tell\n")
        crowd.stdin.flush()
        seen = json.loads(crowd.stdout.readline())
    finally:
        crowd.terminate()
        crowd.wait()
    figures = {"watchers": watchers, "expected": watchers * int(seconds * rate), "rate": rate, **opened, **seen}
    return figures | {
        "memory": memory / 1e6,
        "each": (memory - before) / watchers / 1e3,
        "web": cpu / took,
        "resting": resting,
        "crowd": others / took,
    }


def told(figures: dict[str, float]) -> list[tuple[str, str, str]]:
    """Lines of the table: what, how much, and what of that."""
    what = f"said in a thread → seen by {figures['watchers']:,.0f} watchers, {figures['rate']:g} a second"
    served = f"{figures['seen']:,.0f} of {figures['expected']:,.0f}, {figures['lost']:.0f} sockets were lost"
    busy = f"web process {figures['web']:.0%} of a processor ({figures['resting']:.0%} while nothing is said), "
    return [
        (what, f"p99 {figures['p99']:.0f} ms (aim < 1000)", f"p50 {figures['p50']:.0f}, worst {figures['worst']:.0f}"),
        ("  … delivered", f"{figures['seen'] / figures['expected']:.2%}", served),
        ("  … at what cost", f"{figures['each']:.0f} kB a watcher", f"{busy}the watchers' own {figures['crowd']:.0%}"),
        ("  … connected within", f"{figures['opened']:.1f} s", f"web process then {figures['memory']:.0f} MB"),
    ]


def _talk(hand: Hand, thread: str, count: int, pause: float) -> None:
    for number in range(WARMING):
        hand.post(f"threads/{thread}/messages/", text=f"warming {number}")
        time.sleep(pause)
    began = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number * pause - time.perf_counter()))
        hand.post(f"threads/{thread}/messages/", text=f"tick {number} at {time.time():.6f}")


def _cpu(web: psutil.Process, seconds: float) -> float:
    before = sum(web.cpu_times()[:2])
    time.sleep(seconds)
    return (sum(web.cpu_times()[:2]) - before) / seconds


def _times(process: "subprocess.Popen[str]") -> tuple[float, float]:
    user, system = psutil.Process(process.pid).cpu_times()[:2]
    return user, system


# The second process


async def crowd(address: str, keys: list[list[str]]) -> None:
    """Opens a socket for each key, says so, and at the next line on its input what came."""
    latencies: list[float] = []
    gate, began = asyncio.Semaphore(AT_ONCE), time.perf_counter()
    sockets = await asyncio.gather(*(_open(address, key, gate) for key in keys))
    _say({"opened": time.perf_counter() - began})
    readers = [asyncio.create_task(_read(socket, latencies)) for socket in sockets]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    lost = sum(reader.done() for reader in readers)
    seen, latencies = len(latencies), sorted(latencies) or [float("inf")]
    at = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
    found = {name: latencies[min(len(latencies) - 1, int(len(latencies) * part))] * 1000 for name, part in at.items()}
    _say({"seen": seen, "lost": lost, **found})
    sys.stdout.flush()
    os._exit(0)  # a thousand sockets need not say goodbye


async def _open(address: str, key: list[str], gate: asyncio.Semaphore) -> ClientConnection:
    async with gate:
        origin = address.partition("/ws/")[0]
        where = address.replace("http", "ws", 1)
        return await connect(where, additional_headers=[(key[0], key[1])], origin=origin, open_timeout=120)  # type: ignore[arg-type]


async def _read(socket: ClientConnection, latencies: list[float]) -> None:
    try:
        async for frame in socket:
            now = time.time()
            latencies.extend(now - float(at) for _, at in SAID.findall(str(frame)))
    except ConnectionClosed:
        return


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
