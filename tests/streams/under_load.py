"""Two nodes of ours, written to through HTTP while something is struck dead, and what has to be there afterwards."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from streams.storage.jetstream import FAILURES, NAME
from tests.streams.copies import Copy
from tests.streams.stores import LONG, all_of, replica, same, told


@dataclass
class Load:
    """Writers that append through HTTP; what was acknowledged to whom, in order."""

    copies: list
    acknowledged: dict = field(default_factory=dict)
    unknown: set = field(default_factory=set)
    stop: bool = False

    async def write(self, http, copy, who):
        """Each message once; whoever does not hear what became of it goes on with the next."""
        told = self.acknowledged[who] = []
        n = 0
        while not self.stop:
            message = f'"{who} {n}"'
            if await self._post(http, copy, message):
                told.append(message)
            else:
                self.unknown.add(message)
            n += 1

    async def insist(self, http, copy, who):
        """A producer repeats each message until it hears that it is there."""
        told = self.acknowledged[who] = []
        n = 0
        while not self.stop:
            message = f'"{who} {n}"'
            headers = {"Producer-Id": who, "Producer-Epoch": "0", "Producer-Seq": f"{n}"}
            if await self._post(http, copy, message, headers):
                told.append(message)
                n += 1
            else:
                self.unknown.add(message)
        self.unknown -= set(told)

    async def _post(self, http, copy, message, headers=None):
        headers = {"Content-Type": "application/json"} | (headers or {})
        try:
            answer = await http.post(copy.url + "oak/log", content=message, headers=headers)
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            return False
        assert answer.status_code in (200, 204, 404, 503), (answer.status_code, answer.text)
        return answer.status_code in (200, 204)

    def check(self, messages: list[str]) -> None:
        """Every acknowledged message once, in the order of its writer; of the others nothing twice."""
        assert len(messages) == len(set(messages))
        known = {message for its in self.acknowledged.values() for message in its}
        assert known <= set(messages) <= known | self.unknown
        for its in self.acknowledged.values():
            ours = set(its)
            assert [message for message in messages if message in ours] == its


@asynccontextmanager
async def under_load(folder, cluster, writers=1):
    """Two nodes of ours, and twice as many writers at each; on leaving the load ends and is checked."""
    copies = [Copy(folder / name, cluster.addresses, journal_size=1 << 16) for name in "ab"]
    load = Load(copies)
    try:
        for copy in copies:
            await asyncio.to_thread(copy.start)
        async with httpx.AsyncClient(timeout=15) as http:
            await _made(http, copies[0])
            tasks = [
                asyncio.create_task(how(http, copy, f"{how.__name__}-{letter}{n}"))
                for letter, copy in zip("ab", copies, strict=True)
                for n in range(writers)
                for how in (load.write, load.insist)
            ]
            try:
                yield load
            finally:
                load.stop = True
                await asyncio.wait_for(asyncio.gather(*tasks), LONG)
            found = [(await http.get(copy.url + "oak/log?offset=-1")).json() for copy in copies]
    finally:
        for copy in copies:
            copy.kill()
    await _check(load, folder, cluster, found)


async def _made(http, copy):
    """The stream that is written to; a cluster that has just begun may need a while for the first."""
    until = time.monotonic() + LONG
    while True:
        made = await http.put(copy.url + "oak/log", headers={"Content-Type": "application/json"})
        if made.status_code in (200, 201):
            return
        assert made.status_code == 503 and time.monotonic() < until, (made.status_code, made.text)


async def _check(load, folder, cluster, found):
    stores = []
    try:
        for path in (*(copy.folder for copy in load.copies), folder / "fresh"):
            stores.append(await replica(path, cluster))  # noqa: PERF401  # those that are open are closed, if one fails
        await same(*stores)
        whole = await told(stores[-1])
        load.check(whole)
        assert {f'"{message}"' for messages in found for message in messages} <= set(whole)
        await alike(*stores)
    finally:
        for store in stores:
            await store.close()


async def acknowledged(load, more, patience=LONG):
    """Wait until so many more have been acknowledged to every writer."""
    before = {who: len(told) for who, told in load.acknowledged.items()}
    until = time.monotonic() + patience
    while not load.acknowledged or any(
        len(told) < before.get(who, 0) + more for who, told in load.acknowledged.items()
    ):
        if time.monotonic() > until:
            raise AssertionError({who: len(told) for who, told in load.acknowledged.items()})
        await asyncio.sleep(0.05)


async def followers(cluster) -> list[int]:
    """The nodes that do not lead the log."""
    leader = await cluster.leader()
    return [number for number in range(cluster.count) if number != leader]


async def current(cluster, patience=LONG):
    """Wait until all nodes have what the leader has."""
    until = time.monotonic() + patience
    async with cluster.log() as log:
        while time.monotonic() < until:
            try:
                info = await log._js.stream_info(NAME)
            except FAILURES:  # between two leaders
                info = None
            if info and info.cluster.leader and all(each.current for each in info.cluster.replicas):
                return
            await asyncio.sleep(0.1)
    raise AssertionError("A node did not come back.")


async def content(store) -> dict:
    """All that can be told of a store."""
    found = {}
    for name in await store.names():
        stream = await store.find(name)
        head = stream.snapshot() | {"tail": stream.tail}
        found[name] = head, await all_of(store, stream)
    return found


async def alike(*stores) -> None:
    first, *others = [await content(store) for store in stores]
    for other in others:
        assert other.keys() == first.keys()
        for name, (head, data) in first.items():
            assert other[name][0] == head
            assert other[name][1] == data
