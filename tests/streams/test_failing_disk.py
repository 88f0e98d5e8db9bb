"""The store on a disk that is full or fails at the worst moment."""

import asyncio
import errno
import os
import shutil
import subprocess

import pytest

from streams.offsets import START
from streams.refusals import DiskFull, StorageFailed
from streams.storage.files import _key
from streams.storage.store import Store
from streams.terms import Append
from tests.streams.test_store import BYTES, JSON, made, one, told
from tests.streams.test_store_torn import journal


@pytest.fixture
def disk(tmp_path):
    """A file system of 8 MB and 500 files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=500", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("Nobody but root may mount a small disk, and here not even root.")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder, left=0):
    """With a file that takes all the room but some."""
    free = os.statvfs(folder)
    with open(folder / "filler", "wb") as file:
        file.write(bytes(free.f_bavail * free.f_frsize - left))


def wait_no_longer(store):
    """Seconds pass until what failed is tried again."""
    store._commits._not_before = 0.0


async def accepts(store, stream, append, otherwise):
    """Whether it is added; if not, it is refused in that way."""
    try:
        await store.append(stream, append)
    except otherwise:
        return False
    return True


async def test_on_a_full_disk_a_stream_can_be_deleted_and_that_makes_room(disk):
    store = Store(disk / "live")
    doomed, other = await made(store, "oak/doomed", settings=BYTES), await made(store, settings=BYTES)
    await store.append(doomed, Append([b"x" * (3 << 20)]))
    await store.close()
    store = Store(disk / "live")
    other = await store.find(other.name)
    await store.append(other, Append([b"y" * 1000]))
    fill(disk)
    small = 1
    while await accepts(store, other, Append([b"y" * 1000]), DiskFull):
        small += 1
    told = await asyncio.gather(
        *(store.append(other, Append([b"y" * 1000])) for _ in range(5)),
        store.delete("oak/doomed"),
        return_exceptions=True,
    )
    assert told[-1] is None
    assert await store.find("oak/doomed") is None
    await store.settle()
    assert await accepts(store, other, Append([b"z" * 1000]), DiskFull)
    await store.close()
    again = Store(disk / "live")
    assert await again.find("oak/doomed") is None
    kept = (await again.read(await again.find(other.name), START)).data
    assert kept == b"y" * 1000 * kept.count(b"y" * 1000) + b"z" * 1000 and kept.count(b"y" * 1000) >= small
    await again.close()


async def test_a_full_disk_refuses_appends_leaves_nothing_half_done_and_recovers(disk, tmp_path):
    store = Store(disk / "live")
    stream = await made(store, settings=BYTES)
    await store.append(stream, one("first,"))
    fill(disk)
    accepted = 0
    while await accepts(store, stream, Append([b"x" * 10_000]), DiskFull):
        accepted += 1
    assert stream.tail.bytes == 6 + accepted * 10_000
    page = await store.read(stream, stream.tail._replace(messages=1, bytes=6))
    assert page.data.startswith(b"xxx")
    with pytest.raises(DiskFull):
        await store.append(stream, Append([b"x" * 1_000_000], close=True))
    assert not stream.closed
    (disk / "filler").unlink()
    await store.append(stream, one("last"))
    shutil.copytree(disk / "live", tmp_path / "killed")
    await store.close()
    again = Store(tmp_path / "killed")
    found = await again.find("oak/log")
    assert found.tail.bytes == 6 + accepted * 10_000 + 4 and not found.closed
    await again.close()


async def test_a_disk_too_full_for_files_keeps_what_the_journal_has_and_goes_on_when_there_is_room(disk, tmp_path):
    store = Store(disk / "live", journal_size=100_000)
    stream = await made(store)
    fill(disk, left=1_500_000)
    done = 0
    while await accepts(store, stream, one(f'"{done:020000}"'), DiskFull):
        wait_no_longer(store)
        done += 1
    await store.settle()
    assert done > 20
    assert len(await told(store)) == done
    shutil.copytree(disk / "live", tmp_path / "killed")
    (disk / "filler").unlink()
    for _ in range(20):
        wait_no_longer(store)
        await store.append(stream, one(f'"{done:020000}"'))
        done += 1
    await store.settle()
    assert len(list((disk / "live/journal").glob("*.*"))) <= 2
    await store.close()
    for folder, count in ((disk / "live", done), (tmp_path / "killed", done - 20)):
        again = Store(folder)
        assert await told(again) == [f'"{n:020000}"' for n in range(count)]
        await again.close()


async def test_a_store_starts_on_a_full_disk_to_be_read_and_writes_when_there_is_room(disk):
    store = Store(disk / "live")
    await made(store)
    await store.close()
    fill(disk)
    inodes = os.statvfs(disk).f_ffree
    for n in range(inodes):  # then not even an empty file fits
        (disk / f"{n}").touch()
    store = Store(disk / "live")
    stream = await store.find("oak/log")
    assert await told(store) == []
    for _ in range(2):
        with pytest.raises(DiskFull):
            await store.append(stream, one("1"))
    (disk / "filler").unlink()
    for n in range(inodes):
        (disk / f"{n}").unlink()
    wait_no_longer(store)
    await store.append(stream, one("2"))
    await store.close()
    again = Store(disk / "live")
    assert await told(again) == ["2"]
    await again.close()


def failing(*_given, **_named):
    raise OSError(errno.EIO, "the disk is broken")


async def test_a_journal_that_cannot_be_followed_by_another_goes_on_itself(tmp_path, monkeypatch):
    store = Store(tmp_path / "live", journal_size=1000)
    stream = await made(store)
    opening = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, *mode: failing() if flags & os.O_EXCL else opening(path, flags))
    for n in range(30):
        wait_no_longer(store)
        await store.append(stream, one(f"{n}"))
    assert journal(tmp_path / "live").name.startswith("0000000000000001")
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    monkeypatch.undo()
    wait_no_longer(store)
    for n in range(30, 60):
        await store.append(stream, one(f"{n}"))
    await store.close()
    for folder, count in (("live", 60), ("killed", 30)):
        again = Store(tmp_path / folder)
        assert await told(again) == [str(n) for n in range(count)]
        await again.close()


async def test_what_a_failed_sync_lost_is_written_again_from_memory(tmp_path, monkeypatch):
    store = Store(tmp_path / "live", journal_size=500)
    stream = await made(store)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: failing() if "/streams/" in path_of(file) else sync(file))
    for n in range(20):
        wait_no_longer(store)
        await store.append(stream, one(f"{n}"))
    await store.settle()
    assert len(list((tmp_path / "live/journal").glob("*.*"))) >= 2
    assert stream.recent.start.messages == 0
    for path in (tmp_path / "live/streams").glob("*/*"):
        path.write_bytes(b"\0" * path.stat().st_size)  # the pages that the kernel lost
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    monkeypatch.undo()
    wait_no_longer(store)
    for n in range(20, 40):
        await store.append(stream, one(f"{n}"))
    await store.settle()
    assert stream.recent.start.messages > 0
    assert await told(store) == [str(n) for n in range(40)]
    await store.close()
    for folder, count in (("live", 40), ("killed", 20)):
        again = Store(tmp_path / folder)
        assert await told(again) == [str(n) for n in range(count)]
        await again.close()


def path_of(file):
    return os.readlink(f"/proc/self/fd/{file}")


async def test_a_journal_of_which_nobody_knows_what_is_on_disk_is_replaced(tmp_path, monkeypatch):
    store = Store(tmp_path / "live")
    stream = await made(store)
    await store.append(stream, one("1"))
    write = os.pwrite

    def half(file, blob, at):
        write(file, blob[: len(blob) // 2], at)
        failing()

    monkeypatch.setattr(os, "pwrite", half)
    monkeypatch.setattr(os, "ftruncate", failing)
    with pytest.raises(StorageFailed):
        await store.append(stream, one("2"))
    assert await told(store) == ["1"]
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    with pytest.raises(StorageFailed):
        await store.append(stream, one("3"))
    monkeypatch.undo()
    wait_no_longer(store)
    await store.append(stream, one("4"))
    assert not journal(tmp_path / "live").name.startswith("0000000000000001")
    shutil.copytree(tmp_path / "live", tmp_path / "later")
    await store.close()
    for folder, expected in (("killed", ["1"]), ("later", ["1", "4"]), ("live", ["1", "4"])):
        again = Store(tmp_path / folder)
        assert await told(again) == expected
        await again.close()


async def test_while_files_cannot_be_written_memory_is_bounded(tmp_path, monkeypatch):
    store = Store(tmp_path, journal_size=10_000)
    stream, done = await made(store), 0
    monkeypatch.setattr(os, "fsync", failing)
    while await accepts(store, stream, one(f'"{done:01000}"'), StorageFailed):
        done += 1
    assert 40_000 < stream.recent.weight < 60_000
    assert len(await told(store)) == done
    monkeypatch.undo()
    wait_no_longer(store)
    await store.append(stream, one("1"))
    await store.close()
    again = Store(tmp_path)
    assert len(await told(again)) == done + 1
    await again.close()


async def test_a_stream_deleted_in_a_batch_that_fails_is_still_there(tmp_path, monkeypatch):
    store = Store(tmp_path)
    doomed, other = await made(store), await made(store, "oak/other")
    await store.append(doomed, one("1"))
    monkeypatch.setattr(os, "pwrite", failing)
    done = await asyncio.gather(store.delete("oak/log"), store.append(other, one("2")), return_exceptions=True)
    assert [type(each) for each in done] == [StorageFailed, StorageFailed]
    monkeypatch.undo()
    assert await told(store) == ["1"]
    await store.append(doomed, one("3"))
    await store.close()
    again = Store(tmp_path)
    assert await told(again) == ["1", "3"]
    await again.close()


@pytest.mark.parametrize("files", range(8))
async def test_a_stream_that_could_only_be_taken_away_in_part_is_gone_and_so_are_its_files(
    tmp_path, monkeypatch, files
):
    store = Store(tmp_path / "live", journal_size=300, segment_size=20)
    stream = await made(store)
    for n in range(20):
        await store.append(stream, one(f'"{n:050}"'))
        await store.settle()
    assert len(stream.segments) > 3
    await store.delete("oak/log")
    unlink, left = os.unlink, [files]

    def some(path, *rest, **more):
        left[0] -= 1
        return failing() if left[0] < 0 else unlink(path, *rest, **more)

    monkeypatch.setattr(os, "unlink", some)
    for n in range(3):
        await store.create(f"oak/{n}", JSON)
    await store.settle()
    monkeypatch.undo()
    assert await store.find("oak/log") is None and "oak/log" not in await store.names()
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    await store.close()
    for folder in ("live", "killed"):
        again = Store(tmp_path / folder)
        assert await again.find("oak/log") is None
        assert await again.names() == [f"oak/{n}" for n in range(3)]
        assert list((tmp_path / folder / "streams").glob(f"{_key('oak/log')}*")) == []
        await again.close()


async def test_a_reader_that_comes_while_a_file_goes_does_not_keep_it_open(tmp_path, monkeypatch):
    """Or the stream that is made there next would be written into a file without a name."""
    store = Store(tmp_path)
    await made(store)
    await store.append(await store.find("oak/log"), one("1"))
    await store.close()
    store, unlink = Store(tmp_path), os.unlink

    def slowly(path, *rest, **more):
        if str(path).endswith("data"):
            assert store.files.read("oak/log", "data", 0, 0, 1) == b"1"
        unlink(path, *rest, **more)

    monkeypatch.setattr(os, "unlink", slowly)
    store.files.remove("oak/log")
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        store.files.read("oak/log", "data", 0, 0, 1)
    await store.close()
