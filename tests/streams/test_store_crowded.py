"""More streams than the store keeps in memory, and several things asked of one at the same moment."""

import asyncio
import shutil

import pytest

from streams.refusals import NoStream
from streams.storage.spans import Positions
from streams.storage.store import Store
from streams.terms import Append
from tests.streams.test_failing_disk import failing
from tests.streams.test_store import JSON, made, one, told


async def test_deleted_and_made_again_at_the_same_moment_is_a_new_stream(tmp_path):
    store = Store(tmp_path / "live")
    stream = await made(store)
    await store.append(stream, one("1"))
    await asyncio.gather(
        store.delete("oak/log"), store.create("oak/log", JSON, one("2")), store.create("oak/other", JSON)
    )
    assert await told(store) == ["2"]
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    await store.close()
    again = Store(tmp_path / "killed")
    assert await told(again) == ["2"]
    await again.close()


async def test_a_stream_deleted_while_it_is_read_from_disk_does_not_come_back(tmp_path):
    store = Store(tmp_path)
    await made(store)
    await store.close()
    store = Store(tmp_path)
    found, _ = await asyncio.gather(store.find("oak/log"), store.delete("oak/log"))
    assert found.gone and await store.find("oak/log") is None
    await store.close()


async def test_idle_streams_leave_memory_and_nobody_can_tell(tmp_path):
    store = Store(tmp_path, journal_size=1, idle=8)
    held = await made(store, "oak/held")
    for n in range(40):
        await made(store, f"oak/{n}")
    await store.settle()
    await made(store, "oak/40")
    assert len(store._logs._recent) <= 9 and len(store._logs._held) <= 13
    assert await store.find("oak/held") is held
    await store.append(held, one("1"))
    assert (await store.create("oak/0", JSON)).duplicate
    await store.append(await store.find("oak/3"), Append([b"2"]))
    assert await told(store, "oak/3") == ["2"]
    await store.delete("oak/5")
    with pytest.raises(NoStream):
        await store.delete("oak/5")
    await store.close()


async def test_a_creation_finds_the_stream_that_came_before_it_however_crowded_it_is(tmp_path):
    store = Store(tmp_path, journal_size=1, idle=1)
    done = await asyncio.gather(*(store.create(f"oak/{n % 20}", JSON, one("1")) for n in range(60)))
    assert sum(not each.duplicate for each in done) == 20
    done = await asyncio.gather(*(store.create(f"oak/{n % 20}", JSON, one("1")) for n in range(60)))
    assert sum(not each.duplicate for each in done) == 0
    assert await told(store, "oak/7") == ["1"]
    await store.close()


async def test_positions_in_memory_are_bounded_together(tmp_path):
    store = Store(tmp_path, journal_size=1)
    store._spans._positions = positions = Positions(store.files, room=1500)
    streams = [await made(store, f"oak/{n}") for n in range(20)]
    for stream in streams:
        await store.append(stream, Append([b"1"] * 30))
        await store.settle()
    for stream in streams:
        assert (await store.read(stream, stream.recent.start._replace(messages=3, bytes=3), most=2)).data == b"1,1"
    assert sum(len(ends) * 8 for ends in positions._known.values()) <= 1500 and len(positions._known) <= 4
    await store.close()


async def test_only_its_own_user_may_look_into_the_folder_of_streams(tmp_path):
    store = Store(tmp_path / "streams")
    assert (tmp_path / "streams").stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_a_listener_that_fails_costs_nobody_anything(tmp_path):
    store = Store(tmp_path)
    stream, other = await made(store), await made(store, "oak/other")
    store.listeners.append(failing)
    await asyncio.gather(*(store.append(each, one("1")) for each in (stream, other)))
    await asyncio.gather(*(store.append(each, one("2")) for each in (stream, other)))
    shutil.copytree(tmp_path, tmp_path.with_name("killed"))
    await store.close()
    again = Store(tmp_path.with_name("killed"))
    assert await told(again) == await told(again, "oak/other") == ["1", "2"]
    await again.close()
