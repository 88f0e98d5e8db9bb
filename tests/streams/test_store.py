"""The store keeps what it acknowledged, once and in order, whatever happens to the process or the end of a file."""

import asyncio
import os
import shutil

import pytest

from streams.offsets import START, Offset
from streams.refusals import Malformed, NoStream, Refusal
from streams.storage.committing import FEW
from streams.storage.store import FolderInUse, Store
from streams.terms import Append, Producer, Settings

JSON = Settings("application/json")
BYTES = Settings("application/octet-stream")


def one(text, **rest):
    return Append([text.encode()], **rest)


async def told(store, name="oak/log"):
    stream = await store.find(name)
    at, parts = START, []
    while True:
        page = await store.read(stream, at)
        if page.data:
            parts += page.data.decode().split(",")
        at = page.end
        if page.up_to_date:
            return parts


async def made(store, name="oak/log", settings=JSON):
    await store.create(name, settings)
    return await store.find(name)


async def test_only_one_process_may_write_a_folder(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(FolderInUse, match="already held"):
        Store(tmp_path)
    await store.close()
    await Store(tmp_path).close()


async def test_messages_keep_their_bytes_and_each_has_its_own_offset(tmp_path):
    store = Store(tmp_path)
    stream = await made(store)
    done = await store.append(stream, Append([b"1.0", b'{"a" : 12345678901234567890}']))
    assert str(done.next) == "0000000000000002_0000000000000031"
    page = await store.read(stream, Offset(1, 3))
    assert page.data == b'{"a" : 12345678901234567890}'
    await store.close()


async def test_what_was_appended_is_there_after_a_restart_with_and_without_a_clean_end(tmp_path):
    store = Store(tmp_path / "first")
    stream = await made(store)
    await store.append(stream, one("1", producer=Producer("p", 3, 0), stream_seq="a"))
    shutil.copytree(tmp_path / "first", tmp_path / "killed")
    await store.close()
    for folder in ("first", "killed"):
        again = Store(tmp_path / folder)
        assert await told(again) == ["1"]
        log = await again.find("oak/log")
        assert (log.producers, log.stream_seq) == ({"p": (3, 0)}, "a")
        await again.append(log, one("2", producer=Producer("p", 3, 1)))
        assert await told(again) == ["1", "2"]
        await again.close()


async def test_many_writers_share_a_batch_and_every_message_is_there_once_in_the_order_acknowledged(
    tmp_path, monkeypatch
):
    store = Store(tmp_path)
    stream = await made(store)
    writes, write = [], os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *given: (writes.append(given), write(*given))[1])
    done = await asyncio.gather(*(store.append(stream, one(f"{n}")) for n in range(500)))
    assert len(writes) <= 3
    order = [str(n) for _, n in sorted((answer.next, n) for n, answer in enumerate(done))]
    assert await told(store) == order
    await store.close()


async def test_a_batch_holds_appends_to_many_streams(tmp_path):
    store = Store(tmp_path, most_open=8)
    streams = [await made(store, f"oak/{n}") for n in range(50)]
    for turn in range(3):
        await asyncio.gather(*(store.append(stream, one(f"{turn}")) for stream in streams))
    assert len(store.files._open) <= 9
    for stream in streams:
        assert await told(store, stream.name) == ["0", "1", "2"]
    await store.close()


async def test_the_journal_is_dropped_when_it_has_grown_and_nothing_goes_with_it(tmp_path):
    store = Store(tmp_path / "live", journal_size=2000)
    stream = await made(store)
    for n in range(200):
        await store.append(stream, one(f"{n}"))
    assert len(list((tmp_path / "live/journal").glob("*.*"))) <= 3
    await store.settle()
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    await store.close()
    assert list((tmp_path / "live/journal").glob("*.*")) == []
    for folder in ("live", "killed"):
        again = Store(tmp_path / folder)
        assert await told(again) == [str(n) for n in range(200)]
        await again.close()


async def test_a_page_is_the_same_whether_it_lies_in_memory_in_one_segment_or_in_many(tmp_path):
    expected = [f"{n * 7}" for n in range(600)]
    for place, options in (("memory", {}), ("segments", {"journal_size": 3000, "segment_size": 500})):
        store = Store(tmp_path / place, **options)
        stream = await made(store)
        for n in range(0, 600, 3):
            await store.append(stream, Append([text.encode() for text in expected[n : n + 3]]))
            await store.settle()
        if place == "segments":
            assert len(stream.segments) > 3
        at = START
        for n in range(0, 600, 7):
            page = await store.read(stream, at, most=7)
            assert page.data.decode().split(",") == expected[n : n + 7]
            back = await store.before(stream, page.end, 7)
            assert (back.data, back.start) == (page.data, at) or n + 7 > 600
            at = page.end
        await store.close()


async def test_a_deleted_stream_stays_deleted_and_its_successor_starts_empty(tmp_path):
    store = Store(tmp_path / "one")
    stream = await made(store)
    await store.append(stream, one("1"))
    await store.delete("oak/log")
    shutil.copytree(tmp_path / "one", tmp_path / "killed")
    with pytest.raises(NoStream):
        await store.append(stream, one("2"))
    successor = await made(store)
    await store.append(successor, one("3"))
    shutil.copytree(tmp_path / "one", tmp_path / "later")
    await store.close()
    assert successor.settings.incarnation != stream.settings.incarnation
    gone, later = Store(tmp_path / "killed"), Store(tmp_path / "later")
    assert await gone.find("oak/log") is None
    assert await told(later) == ["3"]
    await gone.close()
    await later.close()


async def test_nothing_is_visible_before_it_is_acknowledged(tmp_path):
    store = Store(tmp_path)
    stream = await made(store)
    appending = asyncio.ensure_future(store.append(stream, one("1")))
    while not appending.done():
        assert await told(store) == [] or appending.done() or stream.tail.messages == 1
        await asyncio.sleep(0)
    assert await told(store) == ["1"]
    await store.close()


@pytest.mark.parametrize(("followers", "first"), [(1, "follower"), (FEW + 1, "writer")])
async def test_a_writer_does_not_wait_for_a_crowd_of_followers_and_finds_what_it_wrote(tmp_path, followers, first):
    store, order = Store(tmp_path), []
    stream = await made(store)
    waiters = [asyncio.get_running_loop().create_future() for _ in range(followers)]
    stream.waiters.update(waiters)

    async def follow(waiter):
        await waiter
        order.append("follower")

    async def write():
        await store.append(stream, one("1"))
        order.append("writer")
        assert await told(store) == ["1"]

    await asyncio.gather(*map(follow, waiters), write())
    assert order[0] == first
    assert sorted(order) == sorted(["writer", *["follower"] * followers])
    await store.close()


async def test_pages_are_bounded_forward_and_backward(tmp_path):
    store = Store(tmp_path)
    stream = await made(store)
    await store.append(stream, Append([b"%03d" % n for n in range(100)]))
    page = await store.read(stream, START, size=30)
    assert (page.end.messages, page.up_to_date) == (10, False)
    page = await store.read(stream, page.end, most=3)
    assert page.data == b"010,011,012"
    page = await store.before(stream, stream.tail, 4)
    assert page.data == b"096,097,098,099"
    page = await store.before(stream, page.start, 1000, size=30)
    assert page.data.endswith(b"095")
    assert len(page.data) <= 40
    page = await store.before(stream, Offset(2, 6), 1000)
    assert (page.data, page.start) == (b"000,001", START)
    assert (await store.before(stream, START, 5)).data == b""
    with pytest.raises(Malformed):
        await store.read(stream, Offset(1, 2))
    await store.close()


async def test_byte_streams_are_just_bytes(tmp_path):
    store = Store(tmp_path)
    stream = await made(store, settings=BYTES)
    await store.append(stream, Append([b"\x00\xff"]))
    await store.append(stream, Append([b",\n"]))
    assert (await store.read(stream, START)).data == b"\x00\xff,\n"
    await store.close()


TABLE = [
    # what was accepted before, what comes, status or (duplicate, highest)
    ([], (0, 0), (False, (0, 0))),
    ([], (5, 0), (False, (5, 0))),
    ([], (0, 3), 409),
    ([(0, 0)], (0, 0), (True, (0, 0))),
    ([(0, 0), (0, 1)], (0, 0), (True, (0, 1))),
    ([(0, 0)], (0, 1), (False, (0, 1))),
    ([(0, 0)], (0, 2), 409),
    ([(3, 0)], (2, 0), 403),
    ([(3, 0)], (2, 1), 403),
    ([(3, 0)], (4, 1), 400),
    ([(3, 0)], (4, 0), (False, (4, 0))),
]


@pytest.mark.parametrize(("before", "comes", "expected"), TABLE)
async def test_the_table_of_producers(tmp_path, before, comes, expected):
    store = Store(tmp_path)
    stream = await made(store)
    for epoch, seq in before:
        await store.append(stream, one("0", producer=Producer("p", epoch, seq)))
    (done,) = await asyncio.gather(
        store.append(stream, one("1", producer=Producer("p", *comes))), return_exceptions=True
    )
    said = done.status if isinstance(done, Refusal) else (done.duplicate, done.producer[1:])
    assert said == expected
    added = isinstance(expected, tuple) and not expected[0]
    assert await told(store) == ["0"] * len(before) + ["1"] * added
    await store.close()


async def test_a_producer_is_judged_in_its_order_even_within_one_batch(tmp_path):
    store = Store(tmp_path)
    stream = await made(store)
    asked = [store.append(stream, one(f"{seq}", producer=Producer("p", 0, seq))) for seq in (0, 1, 1, 2, 4)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [getattr(each, "duplicate", None) for each in done] == [False, False, True, False, None]
    assert done[-1].headers == {"Producer-Expected-Seq": "3", "Producer-Received-Seq": "4"}
    assert await told(store) == ["0", "1", "2"]
    await store.close()
