"""What every store promises, whether it stands alone or several copies of it are ordered by a cluster."""

import asyncio
import time

import pytest

from streams.offsets import START, Offset
from streams.refusals import (
    AlreadyThere,
    Gone,
    Malformed,
    NoStream,
    OutOfSequence,
    ProducerFenced,
    ProducerGap,
    Refusal,
    StreamClosed,
    TailMoved,
)
from streams.terms import Append, Producer, Settings
from tests.streams.stores import BYTES, JSON, all_of, made, nats, one, opened, store, told, until_so

__all__ = ["nats", "opened", "store"]


async def test_what_is_created_is_found_and_creating_it_again_changes_nothing(store):
    first = await store.create("oak/log", JSON, one("1"))
    again = await store.create("oak/log", JSON)
    assert (first.duplicate, again.duplicate, again.next) == (False, True, Offset(1, 1))
    assert (await store.find("oak/log")).tail == first.next
    assert await store.find("oak/other") is None
    with pytest.raises(AlreadyThere):
        await store.create("oak/log", BYTES)
    with pytest.raises(NoStream):
        await store.get("oak/other")
    assert await store.names() == ["oak/log"]


async def test_messages_keep_their_bytes_and_each_has_its_own_offset(store):
    stream = await made(store)
    done = await store.append(stream, Append([b"1.0", b'{"a" : 12345678901234567890}']))
    assert str(done.next) == "0000000000000002_0000000000000031"
    page = await store.read(stream, Offset(1, 3))
    assert (page.data, page.end, page.up_to_date) == (b'{"a" : 12345678901234567890}', done.next, True)
    raw = await made(store, "oak/raw", BYTES)
    await store.append(raw, Append([b"\x00\xff"]))
    await store.append(raw, Append([b",\n"]))
    assert (await store.read(raw, START)).data == b"\x00\xff,\n"


async def test_what_many_ask_at_once_is_there_once_in_the_order_of_the_answers(store):
    streams = [await made(store, f"oak/{n}") for n in range(5)]
    asked = [store.append(streams[n % 5], one(f"{n}")) for n in range(500)]
    done = await asyncio.gather(*asked)
    for kind, stream in enumerate(streams):
        order = [str(n) for _, n in sorted((answer.next, n) for n, answer in enumerate(done) if n % 5 == kind)]
        assert await told(store, stream.name) == order


async def test_an_enveloped_event_gets_its_own_offset(store):
    stream = await made(store, settings=Settings("application/json", enveloped=True))
    blank = b'{"seq":"' + b"0" * 33 + b'","n":%d}'
    done = await store.append(stream, Append([blank % 1, blank % 2]))
    data = (await store.read(stream, START)).data
    assert data.endswith(b'{"seq":"%s","n":2}' % str(done.next).encode())


async def test_a_closed_stream_takes_nothing_more_and_says_where_it_ends(store):
    stream = await made(store)
    await store.append(stream, one("1"))
    done = await store.append(stream, Append(close=True, close_only=True))
    assert (done.closed, stream.closed) == (True, True)
    with pytest.raises(StreamClosed) as refused:
        await store.append(stream, one("2"))
    assert refused.value.headers["Stream-Next-Offset"] == str(stream.tail)
    assert (await store.append(stream, Append(close=True, close_only=True))).duplicate
    assert (await store.read(stream, START)).closed
    with pytest.raises(AlreadyThere):
        await store.create("oak/log", JSON)


async def test_a_producer_is_heard_once_in_its_order(store):
    stream = await made(store)
    asked = [store.append(stream, one(f"{seq}", producer=Producer("p", 1, seq))) for seq in (0, 1, 1, 2, 4)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [getattr(each, "duplicate", None) for each in done] == [False, False, True, False, None]
    assert isinstance(done[-1], ProducerGap)
    assert done[-1].headers == {"Producer-Expected-Seq": "3", "Producer-Received-Seq": "4"}
    with pytest.raises(ProducerFenced):
        await store.append(stream, one("9", producer=Producer("p", 0, 5)))
    with pytest.raises(Malformed):
        await store.append(stream, one("9", producer=Producer("p", 2, 5)))
    await store.append(stream, one("3", producer=Producer("p", 2, 0)))
    last = Producer("p", 2, 1)
    await store.append(stream, one("4", producer=last, close=True))
    assert (await store.append(stream, one("4", producer=last, close=True))).duplicate
    assert await told(store) == ["0", "1", "2", "3", "4"]


async def test_stream_seq_goes_up_and_an_empty_one_counts(store):
    stream = await made(store)
    await store.append(stream, one("1", stream_seq=""))
    with pytest.raises(OutOfSequence):
        await store.append(stream, one("2", stream_seq=""))
    await store.append(stream, one("2", stream_seq="b"))
    with pytest.raises(OutOfSequence):
        await store.append(stream, one("3", stream_seq="a"))
    assert await told(store) == ["1", "2"]


async def test_of_those_who_expect_the_same_tail_one_is_let_in(store):
    stream = await made(store)
    asked = [store.append(stream, one(f"{n}", expected=START)) for n in range(5)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(each, TailMoved) for each in done].count(True) == 4
    assert len(await told(store)) == 1


async def test_a_fork_begins_with_what_it_borrows(store):
    stream = await made(store)
    for n in range(5):
        await store.append(stream, one(f"{n}"))
    await store.fork("oak/fork", Settings(""), one("7"), "oak/log", Offset(2, 2), 1)
    await store.append(stream, one("5"))
    assert await told(store, "oak/fork") == ["0", "1", "2", "7"]
    assert await told(store) == ["0", "1", "2", "3", "4", "5"]
    again = await store.fork("oak/fork", Settings(""), Append(), "oak/log", Offset(2, 2), 1)
    assert again.duplicate
    raw = await made(store, "oak/raw", BYTES)
    await store.append(raw, Append([b"abcdef"]))
    await store.fork("oak/part", Settings(""), Append([b"X"]), "oak/raw", START, 3)
    assert await all_of(store, await store.find("oak/part")) == b"abcX"


async def test_a_deleted_stream_is_there_for_its_forks_until_they_go(store):
    stream = await made(store)
    await store.append(stream, one("1"))
    await store.fork("oak/fork", Settings(""), Append(), "oak/log", None, 0)
    await store.delete("oak/log")
    with pytest.raises(Gone):
        await store.get("oak/log")
    with pytest.raises(Gone):
        await store.append(stream, one("2"))
    with pytest.raises(AlreadyThere):
        await store.create("oak/log", JSON)
    assert await told(store, "oak/fork") == ["1"]
    await store.delete("oak/fork")
    assert await store.find("oak/log") is None
    assert not (await store.create("oak/log", JSON)).duplicate
    assert await told(store) == []


async def test_a_successor_starts_empty_and_the_old_one_takes_nothing_more(store):
    stream = await made(store)
    await store.append(stream, one("1"))
    await asyncio.gather(store.delete("oak/log"), store.create("oak/log", JSON, one("2")))
    successor = await store.find("oak/log")
    assert stream.gone and successor.settings.incarnation != stream.settings.incarnation
    with pytest.raises(NoStream):
        await store.append(stream, one("3"))
    assert await told(store) == ["2"]


async def test_a_stream_lives_for_as_long_as_it_is_used(opened):
    now = [time.time()]
    store = await opened.open(clock=lambda: now[0])
    brief = Settings("application/json", ttl=3)
    stream, idle = await made(store, settings=brief), await made(store, "oak/idle", brief)
    await store.create("oak/fixed", Settings("application/json", expires_at="2020-01-01T00:00:00Z"))
    assert await store.find("oak/fixed") is None
    for _ in range(4):
        now[0] += 1
        assert await store.find("oak/log") is stream
        store.touch(stream)
        await until_so(lambda: stream.touch_kept == now[0])
    assert await store.find("oak/idle") is None
    with pytest.raises(NoStream):
        await store.append(idle, one("1"))
    now[0] += 3.5
    assert not (await store.create("oak/log", brief, one("2"))).duplicate
    assert stream.gone
    assert await told(store) == ["2"]
    await store.close()


async def test_pages_are_bounded_forward_and_backward(store):
    stream = await made(store)
    await store.append(stream, Append([b"%03d" % n for n in range(2000)]))
    page = await store.read(stream, START, size=30)
    assert (page.end.messages, page.up_to_date) == (10, False)
    page = await store.read(stream, page.end, most=3)
    assert page.data == b"010,011,012"
    page = await store.before(stream, stream.tail, 4)
    assert page.data == b"1996,1997,1998,1999"
    with pytest.raises(Malformed):
        await store.read(stream, Offset(1, 2))
    with pytest.raises(Malformed):
        await store.read(stream, Offset(3000, 9999))


async def test_listeners_hear_of_every_stream_that_grew_was_closed_or_went(store):
    heard = []
    store.listeners.append(lambda stream: heard.append((stream.name, stream.tail.messages, stream.closed, stream.gone)))
    stream = await made(store)
    waiter = asyncio.get_running_loop().create_future()
    stream.waiters.add(waiter)
    await store.append(stream, one("1", close=True))
    assert waiter.done()
    await store.delete("oak/log")
    assert heard == [("oak/log", 0, False, False), ("oak/log", 1, True, False), ("oak/log", 1, True, True)]


@pytest.mark.parametrize("journal_size", [64 << 20, 2000])
async def test_a_store_goes_on_after_a_restart_where_it_was(opened, journal_size):
    store = await opened.open(journal_size=journal_size)
    stream = await made(store)
    for n in range(50):
        await store.append(stream, one(f"{n}", producer=Producer("p", 3, n), stream_seq=f"{n:03}"))
    await store.fork("oak/fork", Settings(""), one("7"), "oak/log", Offset(2, 2), 0)
    await store.delete("oak/log")
    gone = await made(store, "oak/gone")
    await store.append(gone, one("1"))
    await store.delete("oak/gone")
    await store.close()
    again = await opened.open(journal_size=journal_size)
    assert await again.find("oak/gone") is None
    assert await told(again, "oak/fork") == ["0", "1", "7"]
    source = await again.find("oak/log")
    assert (source.is_soft_deleted, source.producers, source.stream_seq) == (True, {"p": (3, 49)}, "049")
    assert source.number == stream.number
    fork = await again.find("oak/fork")
    await again.append(fork, one("8"))
    await again.close()
    third = await opened.open()
    assert await told(third, "oak/fork") == ["0", "1", "7", "8"]
    await third.close()


async def test_refusals_leave_nothing_behind(opened):
    store = await opened.open()
    stream = await made(store)
    for wrong in (one("1", producer=Producer("p", 0, 3)), one("1", expected=Offset(5, 5))):
        with pytest.raises(Refusal):
            await store.append(stream, wrong)
    await store.close()
    again = await opened.open()
    assert await told(again) == []
    assert (await again.find("oak/log")).number == 1
    await again.close()
