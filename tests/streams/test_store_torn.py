"""Journals and files of which bytes are missing or wrong: what lies before them is there, and nothing by half."""

import os
import shutil

from streams.storage.frames import frame, frames
from streams.storage.journal import DELETE, Change, batch
from streams.storage.store import Store
from streams.terms import Append, Producer
from tests.streams.test_store import BYTES, JSON, made, one, told


def journal(folder):
    (path,) = (folder / "journal").glob("*.*")
    return path


def ends_of_batches(path):
    """Where each batch of a journal ends."""
    raw, mark, ends = path.read_bytes(), bytes.fromhex(path.suffix[1:]), [0]
    while raw.startswith(mark, ends[-1]):
        ends.append(next(end for end, _ in frames(raw, ends[-1] + len(mark))))
    return ends


async def half_of(folder):
    """A folder as a kill leaves it: one stream, of which one message is in files and four are in the journal."""
    store = Store(folder / "first")
    stream = await made(store)
    await store.append(stream, one('"first"', producer=Producer("p", 0, 0)))
    await store.close()
    store = Store(folder / "first")
    stream = await store.find("oak/log")
    for n, word in enumerate(("second", "third", "fourth"), 1):
        await store.append(stream, one(f'"{word}"', producer=Producer("p", 0, n)))
    await store.append(stream, one('"last"', close=True, producer=Producer("p", 0, 4)))
    shutil.copytree(folder / "first", folder / "killed")
    await store.close()
    return folder / "killed"


def copied(folder, to):
    """Like `copytree`, but quick where hundreds of empty folders are there already."""
    if not to.exists():
        return shutil.copytree(folder, to)
    for path in [*to.glob("streams/*/*"), *to.glob("journal/*")]:
        path.unlink()
    for path in [*folder.glob("streams/*/*"), *folder.glob("journal/*")]:
        shutil.copy(path, to / path.relative_to(folder))
    return to


WORDS = ['"first"', '"second"', '"third"', '"fourth"', '"last"']


async def test_a_batch_torn_at_any_byte_is_there_whole_or_not_at_all(tmp_path):
    killed = await half_of(tmp_path)
    ends = ends_of_batches(journal(killed))
    for size in [*range(ends[-3], ends[-1], 3), *ends[-3:], ends[-1] + 20]:
        folder = copied(killed, tmp_path / "torn")
        os.truncate(journal(folder), size)
        again = Store(folder)
        log, whole = await again.find("oak/log"), 1 + sum(end <= size for end in ends[1:])
        assert await told(again) == WORDS[:whole]
        assert (log.closed, log.producers["p"]) == (whole == 5, (0, whole - 1))
        if not log.closed:
            await again.append(log, one('"more"'))
            assert await told(again) == [*WORDS[:whole], '"more"']
        await again.close()


async def test_a_flipped_bit_costs_the_batch_that_it_is_in_and_nothing_before(tmp_path):
    killed = await half_of(tmp_path)
    ends = ends_of_batches(journal(killed))
    for at in range(ends[-2], ends[-1], 3):
        folder = copied(killed, tmp_path / "flipped")
        flip(journal(folder), at)
        again = Store(folder)
        assert await told(again) == WORDS[:4]
        await again.close()


async def test_what_follows_a_gap_of_one_stream_is_not_taken_in_and_others_are_whole(tmp_path, caplog):
    store = Store(tmp_path / "first")
    hurt, other = await made(store, "oak/hurt"), await made(store, "oak/other")
    for n in range(3):
        await store.append(hurt, one(f"{n}"))
        await store.append(other, one(f"{n}"))
    shutil.copytree(tmp_path / "first", tmp_path / "killed")
    await store.close()
    path = journal(tmp_path / "killed")
    flip(path, ends_of_batches(path)[4] + 30)  # the second append of the one that is hurt
    again = Store(tmp_path / "killed")
    assert (await told(again, "oak/hurt"), await told(again, "oak/other")) == (["0"], ["0", "1", "2"])
    assert "is damaged between" in caplog.text and "has a gap before its entry" in caplog.text
    assert (await again.append(await again.find("oak/hurt"), one("3"))).next.messages == 2
    await again.close()


async def test_no_message_passes_for_a_batch_where_a_real_one_is_torn(tmp_path):
    forged = batch([Change(DELETE, "oak/victim")])
    store = Store(tmp_path / "first")
    await store.create("oak/victim", JSON, one("1"))
    stream = await made(store, settings=BYTES)
    end = ends_of_batches(journal(tmp_path / "first"))[-1]
    mark = b"ARBJ"
    await store.append(stream, Append([bytes(100) + mark + frame(forged) + bytes(8) + frame(forged) + bytes(100)]))
    shutil.copytree(tmp_path / "first", tmp_path / "killed")
    await store.close()
    flip(journal(tmp_path / "killed"), end)
    again = Store(tmp_path / "killed")
    assert await told(again, "oak/victim") == ["1"]
    await again.close()


def flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


async def test_a_flipped_bit_in_the_files_of_a_stream_cuts_off_what_it_is_in(tmp_path):
    store = Store(tmp_path)
    stream = await made(store)
    await store.append(stream, one("1"))
    await store.append(stream, one("222"))
    await store.close()
    path = next(tmp_path.glob("streams/*/*.data"))
    flip(path, 2)
    again = Store(tmp_path)
    assert await told(again) == ["1"]
    await again.append(await again.find("oak/log"), one("3"))
    await again.close()
    third = Store(tmp_path)
    assert await told(third) == ["1", "3"]
    await third.close()
