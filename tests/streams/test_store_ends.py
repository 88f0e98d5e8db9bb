"""What ends by itself: streams whose time is over, and the beginnings of streams that are kept short."""

import asyncio
import time

import pytest

from streams.offsets import START
from streams.refusals import Dropped
from streams.storage.files import FOLDERS
from streams.storage.store import Store
from streams.storage.sweeping import Sweep
from streams.terms import Append, Settings
from tests.streams.test_store import JSON, made, one


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


async def until(is_so, seconds=10):
    end = time.monotonic() + seconds
    while not await is_so():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("place", ["memory", "files"])
async def test_a_stream_whose_time_is_over_goes_though_nobody_asks_for_it(tmp_path, place):
    clock = Clock()
    store = Store(tmp_path, clock=clock)
    for n in range(5):
        await store.create(f"oak/short-{n}", Settings("application/json", ttl=10), one("1"))
        await store.create(f"oak/dated-{n}", Settings("application/json", expires_at="1970-01-12T13:47:00Z"), one("1"))
        await store.create(f"oak/long-{n}", Settings("application/json", ttl=1000), one("1"))
    await made(store)
    if place == "files":
        await store.close()
        store = Store(tmp_path, clock=clock)
    sweep = Sweep(store, seconds=0.3)
    assert len(await store.names()) == 16
    clock.now += 500

    async def is_swept():
        return await store.names() == sorted(["oak/log", *(f"oak/long-{n}" for n in range(5))])

    await until(is_swept)
    await sweep.close()
    await store.close()
    again = Store(tmp_path, clock=clock)
    assert len(await again.names()) == 6
    await again.close()


async def test_a_sweep_goes_on_where_a_folder_cannot_be_read(tmp_path, caplog):
    clock = Clock()
    store = Store(tmp_path, clock=clock)
    await store.create("oak/short", Settings("application/json", ttl=10), one("1"))
    await store.close()
    store = Store(tmp_path, clock=clock)
    key = next((tmp_path / "streams").glob("*/*")).parent.name
    empty = next(folder for folder in FOLDERS if folder < key)
    (tmp_path / "streams" / empty).rmdir()
    clock.now += 100
    sweep = Sweep(store, seconds=0.3)

    async def is_swept():
        return not store.files.exists("oak/short") or store._commits.has_removed("oak/short")

    await until(is_swept)
    await sweep.close()
    assert f"The streams in {empty} could not be swept" in caplog.text
    await store.close()


async def test_whoever_is_read_or_written_lives_on(tmp_path):
    clock = Clock()
    store = Store(tmp_path, clock=clock)
    await store.create("oak/read", Settings("application/json", ttl=10))
    await store.create("oak/written", Settings("application/json", ttl=10))
    for _ in range(5):
        clock.now += 8
        store.touch(await store.find("oak/read"))
        await store.append(await store.find("oak/written"), one("1"))
    await store.close()
    store = Store(tmp_path, clock=clock)
    clock.now += 8
    assert await store.find("oak/read") and await store.find("oak/written")
    clock.now += 8
    assert await store.find("oak/read") is await store.find("oak/written") is None
    await store.close()


async def test_what_is_older_than_is_kept_goes_in_whole_segments(tmp_path):
    store = Store(tmp_path, journal_size=2000)
    await store.create("oak/log", Settings("application/json", retain=1000))
    stream = await store.find("oak/log")
    for n in range(200):
        await store.append(stream, one(f'"{n:048}"'))
        await store.settle()
    begin = await store.begin(stream)
    assert 1000 <= stream.tail.bytes - begin.bytes < 6000
    with pytest.raises(Dropped) as dropped:
        await store.read(stream, START)
    assert dropped.value.headers["Stream-First-Offset"] == str(begin)
    page = await store.read(stream, begin, size=1 << 20)
    assert page.data.startswith(f'"{begin.messages:048}"'.encode()) and page.up_to_date
    assert (await store.before(stream, stream.tail, 1000)).start == begin
    held = sum(path.stat().st_size for path in tmp_path.glob("streams/*/*"))
    await store.close()
    assert held < 12_000
    again = Store(tmp_path)
    stream = await again.find("oak/log")
    assert await again.begin(stream) == begin
    assert (await again.read(stream, begin, size=1 << 20)).data == page.data
    await again.close()


async def test_what_a_fork_borrows_is_kept_as_long_as_the_fork(tmp_path):
    store = Store(tmp_path, journal_size=1000)
    await store.create("oak/log", Settings("application/json", retain=200), one('"first"'))
    await store.fork("oak/fork", Settings(""), Append(), "oak/log", None, 0)
    stream = await store.find("oak/log")
    for n in range(60):
        await store.append(stream, one(f'"{n:048}"'))
        await store.settle()
    assert (await store.read(await store.find("oak/fork"), START)).data == b'"first"'
    await store.delete("oak/fork")
    for n in range(60):
        await store.append(stream, one(f'"{n:048}"'))
        await store.settle()
    with pytest.raises(Dropped):
        await store.read(stream, START)
    await store.close()


def test_readers_are_told_from_where_on_a_stream_is_kept(living):
    with living.http() as http:
        url = f"{living.url}/oak/short"
        assert http.put(url, headers={"Content-Type": "application/json", "Arbe-Retain": "100000"}).status_code == 201
        sent = 0
        while sent < 300:
            answer = http.post(url, json=["x" * 1_000_000], headers={"Content-Type": "application/json"})
            assert answer.status_code == 204
            sent += 1
            told = http.get(url, params={"offset": "0000000000000000_0000000000000000", "limit": "1"})
            if told.status_code == 410:
                break
        assert told.status_code == 410 and told.json()["code"] == "dropped"
        begin = told.headers["Stream-First-Offset"]
        assert http.get(url, params={"offset": begin, "limit": "1"}).status_code == 200


async def test_streams_that_stay_are_not_looked_at(tmp_path):
    store = Store(tmp_path)
    await store.create("oak/stays", JSON)
    await store.create("oak/goes", Settings("application/json", ttl=10))
    assert store.mortal_waiting() == ["oak/goes"]
    await store.close()
    store = Store(tmp_path)
    assert [name for folder in FOLDERS for name in await store.mortal_in(folder)] == ["oak/goes"]
    await store.close()
