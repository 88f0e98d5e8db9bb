"""The store on a disk that fails at the worst moment, and with more streams than it keeps in memory."""

import asyncio
import errno
import os
import shutil

import pytest

from streams.loading import Memory, Pages
from streams.log import Append
from streams.refusals import DiskFull, NoStream, StorageFailed
from streams.store import Store
from tests.streams.test_store import JSON, made, one, told


def failing(*_given, **_named):
    raise OSError(errno.ENOSPC, "no space")


async def test_a_journal_that_cannot_be_followed_by_another_goes_on_itself(tmp_path, monkeypatch):
    store = Store(tmp_path / "live", journal_size=500)
    stream = await made(store)
    monkeypatch.setattr(store.journal, "_open", failing)
    for n in range(30):
        await store.append(stream, one(f"{n}"))
    assert len(store.journal.files()) == 1
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    monkeypatch.undo()
    for n in range(30, 60):
        await store.append(stream, one(f"{n}"))
    await store.close()
    for folder, count in (("live", 60), ("killed", 30)):
        again = Store(tmp_path / folder)
        assert await told(again) == [str(n) for n in range(count)]
        await again.close()


async def test_a_new_journal_that_cannot_be_opened_leaves_the_old_one_open(tmp_path, monkeypatch):
    store = Store(tmp_path)
    before, opening = store.journal._file, os.open
    monkeypatch.setattr(os, "open", lambda path, flags, *mode: failing() if flags & os.O_EXCL else opening(path, flags))
    with pytest.raises(OSError, match="no space"):
        store.journal.turn()
    monkeypatch.undo()
    assert store.journal._file == before and os.fstat(before)
    await store.close()


async def test_after_a_failed_sync_no_later_one_is_believed_and_the_journals_stay(tmp_path, monkeypatch):
    store = Store(tmp_path / "live", journal_size=500)
    stream, sync = await made(store), store.files.sync
    monkeypatch.setattr(store.files, "sync", failing)
    for n in range(20):
        await store.append(stream, one(f"{n}"))
    if store._tidying:
        await asyncio.wait([store._tidying])
    assert store._is_doubtful
    monkeypatch.setattr(store.files, "sync", sync)
    for n in range(20, 40):
        await store.append(stream, one(f"{n}"))
    await store.close()
    assert int(store.journal.files()[0].name) == 1 and len(store.journal.files()) > 2
    for path in (tmp_path / "live/streams").glob("*/*"):
        path.write_bytes(b"\0" * path.stat().st_size)  # the pages that the kernel lost
    again = Store(tmp_path / "live")
    assert await told(again) == [str(n) for n in range(40)]
    assert len(again.journal.files()) == 1
    await again.close()


async def test_a_stream_deleted_in_a_batch_that_fails_is_still_there(tmp_path, monkeypatch):
    store = Store(tmp_path)
    doomed, other = await made(store), await made(store, "oak/other")
    await store.append(doomed, one("1"))
    monkeypatch.setattr(store.files, "write", failing)
    done = await asyncio.gather(store.delete("oak/log"), store.append(other, one("2")), return_exceptions=True)
    assert [type(each) for each in done] == [DiskFull, DiskFull]
    monkeypatch.undo()
    assert await told(store) == ["1"]
    await store.append(doomed, one("3"))
    await store.close()
    again = Store(tmp_path)
    assert await told(again) == ["1", "3"]
    await again.close()


async def test_a_stream_that_could_only_be_taken_away_in_part_is_gone_after_a_restart(tmp_path, monkeypatch):
    store = Store(tmp_path / "live")
    await made(store)
    monkeypatch.setattr(store.files, "remove", failing)
    with pytest.raises(StorageFailed):
        await store.delete("oak/log")
    with pytest.raises(StorageFailed):
        await store.create("oak/other", JSON)
    monkeypatch.undo()
    await store.close()
    again = Store(tmp_path / "live")
    assert await again.find("oak/log") is None
    await again.close()


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
    store._logs = Memory(store.files)
    found, _ = await asyncio.gather(store.find("oak/log"), store.delete("oak/log"))
    assert found.gone and await store.find("oak/log") is None
    await store.close()


async def test_idle_streams_leave_memory_and_nobody_can_tell(tmp_path):
    store = Store(tmp_path)
    store._logs = Memory(store.files, most=8)
    held = await made(store, "oak/held")
    for n in range(40):
        await made(store, f"oak/{n}")
    assert len(store._logs._recent) <= 9 and len(store._logs._held) <= 10
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
    store = Store(tmp_path)
    store._logs = Memory(store.files, most=1)
    done = await asyncio.gather(*(store.create(f"oak/{n % 20}", JSON, one("1")) for n in range(60)))
    assert sum(not each.duplicate for each in done) == 20
    assert await told(store, "oak/7") == ["1"]
    await store.close()


async def test_pages_in_memory_are_bounded_together(tmp_path):
    store = Store(tmp_path)
    store._pages = Pages(room=100)
    streams = [await made(store, f"oak/{n}") for n in range(8)]
    for stream in streams:
        await store.append(stream, Append([b"1" * 30]))
        await store.read(stream, stream.at(0))
        await store.read(stream, stream.at(0))
    assert sum(len(data) for _, _, data in store._pages._pages.values()) <= 100
    assert store._pages.get(streams[-1], streams[-1].at(0), streams[-1].tail) == b"1" * 30
    await store.close()


async def test_only_its_own_user_may_look_into_the_folder_of_streams(tmp_path):
    store = Store(tmp_path / "streams")
    assert (tmp_path / "streams").stat().st_mode & 0o777 == 0o700
    await store.close()
