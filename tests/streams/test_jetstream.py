"""Several copies of a store, ordered by a real JetStream cluster of three nodes, any of which may be struck dead."""

import asyncio
import os
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from streams.offsets import START, Offset
from streams.refusals import ProducerGap, Refusal, StorageFailed, TooLarge
from streams.storage.batch import AppendRequest
from streams.storage.jetstream import FAILURES, NAME, OrderedLog
from streams.storage.log import MOST_PRODUCERS
from streams.storage.opening import store_at
from streams.storage.ordering import pack, piece, unpack
from streams.storage.replica import CannotFollow, Replica
from streams.storage.store import Store
from streams.terms import Append, Producer, Settings
from tests.streams.copies import Copy
from tests.streams.stores import JSON, Nats, all_of, made, nats, one, replica, same, told, two

__all__ = ["nats"]


@pytest.fixture
async def cluster(nats):
    """The three nodes, with a log that begins anew."""
    yield nats
    for number in set(range(nats.count)) - set(nats.processes):
        nats.start(number)
    await nats.forget()


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


async def test_two_copies_that_are_written_at_once_hold_the_same(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        for n in range(4):
            await (a if n % 2 else b).create(f"oak/{n}", JSON)
        await same(a, b)

        async def write(store, who):
            for n in range(60):
                stream = await store.find(f"oak/{n % 4}")
                producer = Producer(who, 0, n // 4) if n % 4 == 3 else None
                await store.append(stream, one(f'"{who} {n}"', producer=producer))
                if n % 20 == 19:
                    await store.fork(f"oak/{who}-{n}", Settings(""), one('"fork"'), "oak/1", None, 0)

        await asyncio.gather(*(write(store, f"{name}{n}") for name, store in (("a", a), ("b", b)) for n in range(4)))
        await asyncio.gather(a.delete("oak/1"), b.create("oak/0", JSON), return_exceptions=True)
        await same(a, b)
        await alike(a, b)
        assert len(await told(a, "oak/2")) == 8 * 15
        fresh = await replica(tmp_path / "fresh", cluster)
        await alike(fresh, a)
        await fresh.close()


async def test_what_one_copy_answered_the_other_shows_at_once_and_wakes_who_waits_there(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        for n in range(20):
            await a.create(f"oak/{n}", JSON)
            there = await b.get(f"oak/{n}")
            done = await a.append(await a.find(f"oak/{n}"), one("1"))
            page = await b.read(there, done.next)
            assert (page.up_to_date, there.tail) == (True, done.next)
        waiter, heard = asyncio.get_running_loop().create_future(), []
        there.waiters.add(waiter)
        b.listeners.append(heard.append)
        await a.append(await a.find("oak/19"), one("2"))
        await asyncio.wait_for(waiter, 5)
        assert heard == [there]
        assert not await a.holds(there, Offset(99, 99))


async def test_a_reader_anywhere_keeps_a_stream_alive_everywhere(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        await a.create("oak/log", Settings("application/json", ttl=1))
        for _ in range(4):
            await asyncio.sleep(0.35)
            b.touch(await b.get("oak/log"))
            await same(a, b)
            assert await a.find("oak/log")
        await asyncio.sleep(1.2)
        assert await a.find("oak/log") is None
        await same(a, b)
        assert await b.find("oak/log") is None and await b.names() == []


async def test_a_proposal_that_is_stored_twice_or_late_is_decided_once(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        stream = await made(a)

        def proposal(number):
            append = AppendRequest(stream.name, stream.settings.incarnation, one(f"{number}"), time.time())
            return pack("somebody", number, [piece(append)])

        for number, key in ((1, "x"), (1, "x"), (1, "another"), (3, "y"), (2, "z"), (4, "w")):
            await a._ordered.publish(proposal(number), key)
        await same(a, b)
        assert await told(a) == await told(b) == ["1", "3", "4"]


async def test_what_was_overtaken_on_its_way_is_proposed_again_and_counts_once(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        stream = await made(a)
        ours = a._proposals
        append = AppendRequest(stream.name, stream.settings.incarnation, one("0"), time.time())
        overtaken, ours._number = ours._number + 1, ours._number + 2
        future = asyncio.get_running_loop().create_future()
        ours._out[overtaken] = [(piece(append), future)]  # as if the network had kept it back
        await a.append(stream, one("1"))
        assert str((await asyncio.wait_for(future, 10)).next).startswith("0000000000000002_")
        await a._ordered.publish(pack(ours.writer, overtaken, [piece(append)]), "late")
        await same(a, b)
        assert await told(a) == await told(b) == ["1", "0"]


async def test_requests_survive_the_way_through_the_log_byte_for_byte():
    appends = [
        Append([b"\x00", b"", b"\xff" * 300], close=True, producer=Producer("p é", 1, 2**53), stream_seq=""),
        Append([b"1"] * 5000, expected=START),
        Append(close=True, close_only=True),
        Append([b"x" * 70_000, b"y"], stream_seq="z"),
    ]
    asked = [AppendRequest("oak/ü", "abc", append, 1763712000.123456) for append in appends]
    proposal = unpack(pack("w", 7, [piece(request) for request in asked]))
    assert (proposal.writer, proposal.number) == ("w", 7)
    assert [request.append for request in proposal.requests] == appends
    assert {(request.name, request.incarnation, request.now) for request in proposal.requests} == {
        ("oak/ü", "abc", 1763712000.123456)
    }


async def test_who_is_forgotten_does_not_depend_on_where_batches_end(tmp_path):
    """All copies forget the same producer, whatever they decided together."""
    for folder, together in (("many", MOST_PRODUCERS), ("few", 997)):
        store = Store(tmp_path / folder)
        stream = await made(store)
        names = ["first", *map(str, range(MOST_PRODUCERS - 1)), "last"]
        asked = [one("1", producer=Producer(name, 0, 0)) for name in names]
        asked.append(one("2", producer=Producer("first", 0, 1)))
        asked.append(one("3", producer=Producer("last", 0, 1)))
        done = []
        for begin in range(0, len(asked), together):
            appends = (store.append(stream, append) for append in asked[begin : begin + together + 2])
            done = await asyncio.gather(*appends, return_exceptions=True)
            if begin + together + 2 >= len(asked):
                break
        assert isinstance(done[-2], ProducerGap), folder
        assert not done[-1].duplicate
        await store.close()


async def test_large_requests_go_through_and_too_large_ones_are_refused_with_a_sentence(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        stream = await made(a)
        await a.append(stream, Append([b'"' + b"x" * (8 << 20) + b'"']))
        await a.append(stream, Append([b"1"] * 300_000))
        with pytest.raises(TooLarge, match="One request may hold"):
            await a.append(stream, Append([b'"' + b"x" * (10 << 20) + b'"']))
        await same(a, b)
        assert (await b.find("oak/log")).tail == stream.tail == Offset(300_001, (8 << 20) + 2 + 300_000)


async def test_a_single_node_with_a_password_and_its_usual_limit_of_a_message(nats, tmp_path):
    alone = Nats(tmp_path, "1MB", count=1)
    with (tmp_path / "0.conf").open("a") as config:
        config.write('authorization { user: "arbe", password: "secret" }\n')
    alone.start_all()
    try:
        address = alone.addresses[0].replace("nats://", "nats://arbe:secret@")
        store = Replica(tmp_path / "store", OrderedLog([address]))
        await store.ready(10)
        stream = await made(store)
        await store.append(stream, one("1"))
        with pytest.raises(TooLarge):
            await store.append(stream, Append([b"1" * (2 << 20)]))
        assert await told(store) == ["1"]
        await store.close()
    finally:
        alone.stop_all()


async def test_a_folder_that_is_not_from_the_log_is_not_mixed_with_it(cluster, tmp_path):
    old = Store(tmp_path / "old")
    await old.create("oak/log", JSON, one("1"))
    await old.close()
    shutil.copytree(tmp_path / "old", tmp_path / "twin")
    founder = await replica(tmp_path / "old", cluster)
    await founder.append(await founder.find("oak/log"), one("2"))
    await founder.close()
    for wrong in ("twin", "empty"):
        stranger = Replica(tmp_path / wrong, OrderedLog(cluster.addresses))
        with pytest.raises(CannotFollow, match="begin with"):
            await stranger.ready(10)
        with pytest.raises(StorageFailed, match="begin with"):
            await stranger.create("oak/other", JSON)
        await stranger.close()
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    again, copy = await replica(tmp_path / "old", cluster), await replica(tmp_path / "copy", cluster)
    await copy.append(await copy.find("oak/log"), one("3"))
    await same(again, copy)
    assert await told(again) == await told(copy) == ["1", "2", "3"]
    await again.close()
    await copy.close()


async def test_which_store_a_server_has_is_a_matter_of_addresses(cluster, tmp_path):
    alone, copy = store_at(tmp_path / "alone"), store_at(tmp_path / "copy", cluster.addresses)
    for store in (alone, copy):
        await store.ready()
        await store.create("oak/log", JSON, one("1"))
        assert await told(store) == ["1"]
        await store.close()
    assert [type(store) for store in (alone, copy)] == [Store, Replica]


async def test_a_log_that_was_lost_is_noticed(cluster, tmp_path):
    store = await replica(tmp_path / "a", cluster)
    await made(store)
    await store.close()
    await cluster.forget()
    other = await replica(tmp_path / "b", cluster)
    await other.create("oak/other", JSON)
    await other.close()
    again = Replica(tmp_path / "a", OrderedLog(cluster.addresses))
    with pytest.raises(CannotFollow, match="another one"):
        await again.ready(10)
    assert await told(again) == []
    await again.close()


async def test_a_consumer_that_the_cluster_forgot_is_made_again_and_nothing_is_missed(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        stream = await made(a)
        log = await cluster.js()
        for consumer in await log._js.consumers_info(NAME):
            await log._js.delete_consumer(NAME, consumer.name)
        await log.close()
        await asyncio.wait_for(asyncio.gather(*(a.append(stream, one(f"{n}")) for n in range(20))), 8)
        await same(a, b)
        assert await told(a) == await told(b) and sorted(map(int, await told(b))) == list(range(20))


async def test_a_disk_that_refuses_once_leaves_nothing_out(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        stream = await made(a)
        await same(a, b)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, b._commits._journal._file)
        await asyncio.gather(*(a.append(stream, one(f"{n}")) for n in range(20)))
        assert await told(a) == [str(n) for n in range(20)]
        await same(a, b)
        await alike(a, b)
        os.close(full)


async def test_without_a_majority_appends_are_refused_in_time_and_reading_goes_on(cluster, tmp_path):
    store = await replica(tmp_path / "a", cluster, patience=1.5)
    stream = await made(store)
    await store.append(stream, one("0"))
    dead = [(await cluster.leader() + n) % 3 for n in (0, 1)]
    for number in dead:
        cluster.kill(number)
    began = time.monotonic()
    refused = await asyncio.gather(*(store.append(stream, one(f"{n}")) for n in (1, 2, 3)), return_exceptions=True)
    assert [(each.status, each.code) for each in refused] == [(503, "storage_failed")] * 3
    assert time.monotonic() - began < 4
    assert await told(store) == ["0"]
    for number in dead:
        cluster.start(number)
    producer = Producer("p", 0, 0)
    until = time.monotonic() + 60  # two nodes that start on a machine that is busy elect for long
    while time.monotonic() < until:
        try:
            await store.append(stream, one("4", producer=producer))
            break
        except Refusal:
            continue
    found = await told(store)
    assert found[-1] == "4" and len(found) == len(set(found)) and set(found) <= set("01234")
    await store.close()


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
        for n in range(100_000):
            if self.stop:
                return
            message = f'"{who} {n}"'
            if await self._post(http, copy, message):
                told.append(message)
            else:
                self.unknown.add(message)

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
async def under_load(folder, cluster, writers=3):
    """Two nodes of ours, and writers at each; on leaving the load ends and is checked."""
    copies = [Copy(folder / name, cluster.addresses, journal_size=1 << 16) for name in "ab"]
    load = Load(copies)
    try:
        for copy in copies:
            await asyncio.to_thread(copy.start)
        async with httpx.AsyncClient(timeout=15) as http:
            made = await http.put(copies[0].url + "oak/log", headers={"Content-Type": "application/json"})
            assert made.status_code == 201
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
                await asyncio.wait_for(asyncio.gather(*tasks), 30)
            found = [(await http.get(copy.url + "oak/log?offset=-1")).json() for copy in copies]
    finally:
        for copy in copies:
            copy.kill()
    stores = [await replica(path, cluster) for path in (*(copy.folder for copy in copies), folder / "fresh")]
    try:
        await same(*stores)
        whole = await told(stores[-1])
        load.check(whole)
        assert {f'"{message}"' for messages in found for message in messages} <= set(whole)
        await alike(*stores)
    finally:
        for store in stores:
            await store.close()


async def others(cluster, *these) -> list[int]:
    """The nodes that are neither of these nor lead."""
    leader = await cluster.leader()
    return [number for number in range(cluster.count) if number not in (leader, *these)]


async def acknowledged(load, more, patience=25, is_sure=True):
    """Wait until so many more have been acknowledged to every writer."""
    before = {who: len(told) for who, told in load.acknowledged.items()}
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if all(len(load.acknowledged[who]) >= before[who] + more for who in before) and before:
            return
        await asyncio.sleep(0.05)
    if not is_sure:
        return
    raise AssertionError({who: len(told) for who, told in load.acknowledged.items()})


async def test_nodes_of_the_cluster_that_are_struck_dead_under_load_lose_nothing_acknowledged(cluster, tmp_path):
    async with under_load(tmp_path, cluster) as load:
        await asyncio.sleep(0.3)
        await acknowledged(load, 20)
        first = await cluster.leader()
        for number in (first, None):
            dead = (await others(cluster, first))[0] if number is None else number
            cluster.kill(dead)
            # The two that are left elect; where they take too long over it, the third helps them.
            await acknowledged(load, 20, patience=12, is_sure=False)
            cluster.start(dead)
            await current(cluster)
            await acknowledged(load, 5, patience=30)


async def current(cluster, patience=20):
    """Wait until all nodes have what the leader has."""
    log = await cluster.js()
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            info = await log._js.stream_info(NAME)
        except FAILURES:  # between two leaders
            info = None
        if info and info.cluster.leader and all(each.current for each in info.cluster.replicas):
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("A node did not come back.")
    await log.close()


async def test_a_node_of_ours_that_is_struck_dead_under_load_goes_on_where_it_was(cluster, tmp_path):
    async with under_load(tmp_path, cluster) as load:
        await asyncio.sleep(0.3)
        for copy in load.copies:
            await acknowledged(load, 30)
            copy.kill()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(copy.start)
        await acknowledged(load, 10)
