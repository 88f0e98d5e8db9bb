"""Several copies of a store, ordered by a real JetStream cluster of three nodes, any of which may be struck dead."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from streams.offsets import START, Offset
from streams.refusals import ProducerGap, StorageFailed, TooLarge
from streams.storage.batch import AppendRequest
from streams.storage.jetstream import NAME, OrderedLog
from streams.storage.log import MOST_PRODUCERS
from streams.storage.opening import store_at
from streams.storage.ordering import pack, piece, unpack
from streams.storage.replica import CannotFollow, Replica
from streams.storage.store import Store
from streams.terms import Append, Producer, Settings
from tests.streams.stores import JSON, LONG, Nats, made, nats, one, replica, same, told, two, until_so
from tests.streams.under_load import acknowledged, alike, followers, under_load

__all__ = ["nats"]


@pytest.fixture
async def cluster(nats):
    """The three nodes, with a log that begins anew."""
    try:
        yield nats
    finally:
        await nats.forget()


async def test_two_copies_that_are_written_at_once_hold_the_same(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        for n in range(4):
            await (a if n % 2 else b).create(f"oak/{n}", JSON)
        await same(a, b)

        async def write(store, who):
            for n in range(20):
                stream = await store.find(f"oak/{n % 4}")
                producer = Producer(who, 0, n // 4) if n % 4 == 3 else None
                await store.append(stream, one(f'"{who} {n}"', producer=producer))
                if n == 19:
                    await store.fork(f"oak/{who}-{n}", Settings(""), one('"fork"'), "oak/1", None, 0)

        await asyncio.gather(*(write(store, f"{name}{n}") for name, store in (("a", a), ("b", b)) for n in range(4)))
        await asyncio.gather(a.delete("oak/1"), b.create("oak/0", JSON), return_exceptions=True)
        await same(a, b)
        await alike(a, b)
        assert len(await told(a, "oak/2")) == 8 * 5
        fresh = await replica(tmp_path / "fresh", cluster)
        await alike(fresh, a)
        await fresh.close()


async def test_what_one_copy_answered_the_other_shows_at_once_and_wakes_who_waits_there(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        for n in range(5):
            await a.create(f"oak/{n}", JSON)
            there = await b.get(f"oak/{n}")
            done = await a.append(await a.find(f"oak/{n}"), one("1"))
            page = await b.read(there, done.next)
            assert (page.up_to_date, there.tail) == (True, done.next)
        waiter, heard = asyncio.get_running_loop().create_future(), []
        there.waiters.add(waiter)
        b.listeners.append(heard.append)
        await a.append(await a.find("oak/4"), one("2"))
        await asyncio.wait_for(waiter, LONG)
        assert heard == [there]
        assert not await a.holds(there, Offset(99, 99))


async def test_a_reader_anywhere_keeps_a_stream_alive_everywhere(cluster, tmp_path):
    now = [time.time()]
    async with two(tmp_path, cluster, clock=lambda: now[0]) as (a, b):
        await a.create("oak/log", Settings("application/json", ttl=10))
        for _ in range(4):
            now[0] += 4
            b.touch(await b.get("oak/log"))
            there = await a.find("oak/log")
            await until_so(lambda there=there: there.touch_kept == now[0])
        now[0] += 12
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
        assert str((await asyncio.wait_for(future, LONG)).next).startswith("0000000000000002_")
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
        await store.ready(LONG)
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
            await stranger.ready(LONG)
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


@contextmanager
def served(*words):
    """`manage.py streams --open` with these words, and where it says that it serves."""
    command = [sys.executable, "manage.py", "streams", "--open", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://\S+/v1/stream/", server.stdout.readline())[0]
        finally:
            server.terminate()


async def test_the_command_serves_a_copy_when_it_is_told_of_a_cluster(cluster, tmp_path):
    nodes = [word for address in cluster.addresses for word in ("--jetstream", address)]
    with served("--folder", str(tmp_path / "served"), *nodes) as url:
        async with httpx.AsyncClient(timeout=LONG) as http:
            kind = {"Content-Type": "application/json"}
            assert (await http.put(f"{url}oak/log", content=b"[1]", headers=kind)).status_code == 201
    other = await replica(tmp_path / "other", cluster)
    assert await told(other) == ["1"]
    await other.close()


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
        await again.ready(LONG)
    assert await told(again) == []
    await again.close()


async def test_a_consumer_that_the_cluster_forgot_is_made_again_and_nothing_is_missed(cluster, tmp_path):
    async with two(tmp_path, cluster) as (a, b):
        stream = await made(a)
        async with cluster.log() as log:
            for consumer in await log._js.consumers_info(NAME):
                await log._js.delete_consumer(NAME, consumer.name)
        await asyncio.wait_for(asyncio.gather(*(a.append(stream, one(f"{n}")) for n in range(20))), LONG)
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
    """That they are taken again, once each, when a majority is back: `python -m tests.bench.jetstream --soak`."""
    store = await replica(tmp_path / "a", cluster, patience=1.5, behind=1)
    try:
        stream = await made(store)
        await store.append(stream, one("0"))
        for number in [await cluster.leader(), (await followers(cluster))[0]]:
            cluster.kill(number)
        began = time.monotonic()
        refused = await asyncio.gather(*(store.append(stream, one(f"{n}")) for n in (1, 2, 3)), return_exceptions=True)
        assert [(each.status, each.code) for each in refused] == [(503, "storage_failed")] * 3
        assert time.monotonic() - began < 10
        assert await told(store) == ["0"]
    finally:
        await store.close()


async def test_a_node_of_the_cluster_that_is_struck_dead_under_load_takes_nothing_along(cluster, tmp_path):
    """One that does not lead, and nobody has to be elected; leaders die in `python -m tests.bench.jetstream --soak`."""
    async with under_load(tmp_path, cluster) as load:
        await acknowledged(load, 20)
        cluster.kill((await followers(cluster))[0])
        await acknowledged(load, 20)


async def test_a_node_of_ours_that_is_struck_dead_under_load_goes_on_where_it_was(cluster, tmp_path):
    async with under_load(tmp_path, cluster) as load:
        copy = load.copies[0]
        await acknowledged(load, 20)
        copy.kill()
        await asyncio.to_thread(copy.start)
        await acknowledged(load, 20)


async def test_attempts_to_connect_that_fail_leave_no_connection_behind(tmp_path):
    """As when a node that is busy or about to die takes a connection and says nothing sensible."""
    alone, open_ones, came = Nats(tmp_path, count=1), set(), asyncio.Event()

    async def mumble(reader, writer):
        nonlocal most
        open_ones.add(writer)
        most, left[0] = max(most, len(open_ones)), left[0] - 1
        if not left[0]:
            came.set()
        writer.write(b"HELLO\r\n")
        await reader.read()
        open_ones.discard(writer)
        writer.close()

    most, left = 0, [4]
    alone.start_all()
    log = OrderedLog(alone.addresses)
    try:
        await asyncio.wait_for(log.connect(), LONG)
        alone.stop_all()
        async with await asyncio.start_server(mumble, "127.0.0.1", alone.ports[0]):
            await asyncio.wait_for(came.wait(), LONG)
            await log.close()
            await until_so(lambda: not open_ones)
        assert most <= 2  # the one before may be about to end
    finally:
        await log.close()
        alone.stop_all()
