"""All subscriptions of a store, while it cannot be read, is slow to be, or is not this machine's alone."""

import asyncio

import httpx
import pytest

from streams.refusals import Refusal, StorageFailed
from streams.serving.server import StreamServer
from streams.storage.replica import Replica
from streams.storage.store import Store
from streams.subscriptions import progress
from streams.subscriptions.configuration import Configuration
from streams.subscriptions.mapping import StoredMapping
from streams.subscriptions.register import Register
from streams.subscriptions.webhooks import Webhooks
from streams.terms import Append, Settings
from streams.wire import OpenDoor

IS_JSON = Settings("application/json")


class Moody(Store):
    """A real store to which something happens before it is asked: what `moods` has for a name, or for all names."""

    def __init__(self, folder):
        super().__init__(folder)
        self.moods, self.known = {}, asyncio.Event()
        self.known.set()

    async def ready(self, patience=30.0):
        await self.known.wait()

    async def find(self, name):
        await self._befall(name)
        return await super().find(name) if self.known.is_set() else None

    async def names(self):
        await self._befall("all names")
        return await super().names()

    async def _befall(self, name):
        if name in self.moods:
            await self.moods.pop(name)()


@pytest.fixture
async def store(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_PAUSE", 0.05)
    store = Moody(tmp_path)
    yield store
    await store.close()


@pytest.fixture
async def opened(store):
    """Registers of the store, which are closed with it."""
    registers = []

    def open_one():
        registers.append(Register(store, Webhooks(True)))
        return registers[-1]

    yield open_one
    for register in registers:
        await register.close()


def pull(**told):
    return Configuration.read({"type": "pull-wake", "wake_stream": "w"} | told, is_open=True)


async def add(store, name):
    stream = await Store.find(store, name)
    if stream is None:
        await store.create(name, IS_JSON, Append([b"1"]))
    else:
        await store.append(stream, Append([b"1"]))


async def until(true):
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def prepared(store, opened, **streams):
    """Subscriptions by these names to such streams, or to all, as an earlier server left them."""
    earlier = opened()
    await earlier.ready()
    for name, stream in streams.items():
        await earlier.make(name, pull(streams=[stream]) if stream else pull(pattern="**"), "http://here")
    await earlier.close()
    store.listeners.clear()


def failing(error):
    async def mood():
        raise error

    return mood


async def test_what_was_not_read_is_not_written_over(store):
    first = StoredMapping(store, "__ds/x")
    await first.change({"a": 1})
    for know_later in (True, False):
        store.known.clear()
        blind = StoredMapping(store, "__ds/x")
        if know_later:
            await blind.load()
            store.known.set()
        with pytest.raises(Refusal):
            await blind.change({"b": 2})
        store.known.set()
        await blind.load()
        assert {name: value for name, value in blind.values.items() if name} == {"a": 1}
        await blind.change({"c": None})


async def test_nothing_is_read_before_the_store_is_ready(store, opened):
    await prepared(store, opened, one="a")
    store.known.clear()
    register = opened()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await register.ready()
    store.known.set()
    await register.ready()
    assert list(register.all) == ["one"]


async def test_what_grows_while_reading_is_tried_again_wakes_everybody_who_cares(store, opened):
    await prepared(store, opened, one="a", two="a")
    store.moods["__ds/catalogue/0"] = failing(StorageFailed("The disk is away."))
    register = opened()
    with pytest.raises(StorageFailed):
        await register.ready()
    # The first subscription was read already; and nobody asks any more.
    store.moods["__ds/subscriptions/two/0"] = lambda: add(store, "a")
    await until(lambda: len(register.all) == 2)
    await until(lambda: all(each.standing.wake for each in register.all.values()))
    assert not store.moods


async def test_what_came_before_the_start_is_linked_though_the_disk_was_away(store, opened, caplog):
    await prepared(store, opened, one=None)
    await store.create("new", IS_JSON, Append([b"1"]))
    store.moods["all names"] = failing(OSError("away"))
    register = opened()
    await register.ready()
    await until(lambda: "new" in register.all["one"].standing.links)
    assert "tried again" in caplog.text


async def test_a_pattern_that_takes_long_holds_nobody_up_and_misses_nothing(store, opened):
    register, asked, go_on = opened(), asyncio.Event(), asyncio.Event()
    await register.ready()

    async def slowly():
        asked.set()
        await go_on.wait()

    store.moods["all names"] = slowly
    slow = asyncio.create_task(register.make("one", pull(pattern="**"), "http://here"))
    await asked.wait()
    async with asyncio.timeout(10):
        _, is_new = await register.make("two", pull(streams=["a"]), "http://here")
        assert is_new
        await add(store, "a")
        quick, is_new = await register.make("one", pull(pattern="**"), "http://here")
        assert is_new
    go_on.set()
    assert await slow == (quick, False)
    assert list(quick.standing.links) == ["a"]
    await add(store, "b")
    await until(lambda: "b" in quick.standing.links)


async def test_a_store_of_several_machines_has_no_subscriptions_here(tmp_path):
    class Shared(Store):
        is_shared = Replica.is_shared

    streams = StreamServer(Shared(tmp_path), OpenDoor(), public=True)
    transport = httpx.ASGITransport(app=streams)
    async with httpx.AsyncClient(transport=transport, base_url="http://here/v1/stream") as http:
        told = {"type": "pull-wake", "pattern": "*", "wake_stream": "w"}
        for method, path in (("PUT", "subscriptions/a"), ("GET", "subscriptions/a"), ("GET", "jwks.json")):
            refused = await http.request(method, f"/__ds/{path}", json=told)
            assert (refused.status_code, refused.json()["code"]) == (501, "subscriptions_elsewhere")
        assert (await http.put("/a")).status_code == 201
    assert await streams.store.names() == ["a"]
    await streams.close()
