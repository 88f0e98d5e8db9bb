"""What is kept of subscriptions: whole whenever the writing ends, and never written over what was not read."""

import asyncio
import json

import pytest

from streams.refusals import Refusal
from streams.storage.store import Store
from streams.subscriptions.configuration import Configuration
from streams.subscriptions.mapping import StoredMapping
from streams.subscriptions.register import Register
from streams.subscriptions.webhooks import Webhooks
from streams.terms import Append, Settings


async def test_what_is_kept_is_whole_whenever_the_writing_ends(tmp_path):
    store = Store(tmp_path)
    kept = StoredMapping(store, "__ds/x", most=4)
    for n in range(11):
        await kept.change({"n": n, f"{n % 3}": n, "odd": n if n % 2 else None})
        again = StoredMapping(store, "__ds/x")
        await again.load()
        assert again.values == kept.values
        assert {name: value for name, value in again.values.items() if name == "n"} == {"n": n}
    # The end came after the new place was written, and before the old one went.
    for slot, told in ((0, {"": 1, "a": "old"}), (1, {"": 2, "a": "new"})):
        await store.create(f"__ds/y/{slot}", Settings("application/json"), Append([json.dumps(told).encode()]))
    halfway = StoredMapping(store, "__ds/y", most=2)
    await halfway.load()
    assert halfway.values["a"] == "new"
    for n in range(5):
        await halfway.change({"a": n})
    again, other = StoredMapping(store, "__ds/y"), StoredMapping(store, "__ds/y", most=1)
    await again.load()
    await other.load()
    assert again.values["a"] == 4
    await again.change({"a": 5})
    for _ in range(2):
        with pytest.raises(Refusal):
            await other.change({"a": 6})
        assert other.is_doubtful
    await other.load()
    assert other.values["a"] == 5
    await other.change({"a": 6})
    assert not other.is_doubtful
    await again.remove()
    assert [name for name in await store.names() if name.startswith("__ds/y")] == []
    await store.close()


async def test_what_may_have_happened_is_looked_up_before_anything_else_does(tmp_path):
    """As after an append that was refused for a lost answer, and happened all the same."""
    store = Store(tmp_path)
    everyone = Register(store, Webhooks(True))
    await everyone.ready()
    told = {"type": "pull-wake", "streams": ["a"], "wake_stream": "w"}
    subscriber, _ = await everyone.make("pull", Configuration.read(told, is_open=True), "http://here")
    behind = StoredMapping(store, "__ds/subscriptions/pull")
    await behind.load()
    await behind.change({"generation": 7})
    with pytest.raises(Refusal):
        await everyone.add(subscriber, ("b",))
    await everyone.add(subscriber, ("b",))
    assert (subscriber.standing.generation, list(subscriber.standing.links)) == (7, ["a", "b"])
    await store.create("b", Settings("application/json"), Append([b"1"]))
    for _ in range(200):
        if subscriber.standing.generation == 8:
            break
        await asyncio.sleep(0.02)
    assert subscriber.standing.wake.tails.keys() == {"b"}
    await everyone.close()
    await store.close()
