"""A store that dies at its n-th call of the operating system, in the middle of what several writers ask for.

The child that is forked for it writes down what was acknowledged; what is on disk afterwards has to be that, for each
writer with or without the one request that nobody answered any more. With `power`, what was written and not synced is
lost as well, as when the machine itself goes off.
"""

import asyncio
import os
import random
import struct
import traceback
from pathlib import Path
from threading import RLock

from streams.storage.store import Store
from tests.streams.model import Chance, Model, differences, misnamed, perform

SIZES = {"journal_size": 1500, "segment_size": 400, "most_open": 4, "idle": 4}
WRITERS, REQUESTS = 4, 14
DEAD, WHOLE, BROKEN = 9, 0, 1
_ACK = struct.Struct("<H")


def names(writer):
    return [f"oak{writer}/{letter}" for letter in "abc"]


class Disk:
    """Counts the calls that change files, and ends the process at one of them, half done."""

    def __init__(self, folder: Path, last: int, power: bool):
        self._folder, self._left, self._power = str(folder), last, power
        self._random = random.Random(last)
        self._loose = {}  # path -> what it held before what was not synced, None if it was not there
        self._folders = {}  # folder -> the paths in it that came since it was synced
        self._turn = RLock()  # whoever dies takes along what other threads are about to do
        self._os = {name: getattr(os, name) for name in ("pwrite", "fsync", "ftruncate", "open", "unlink", "replace")}
        for name in self._os:
            setattr(os, name, self._alone(getattr(self, f"_{name}")))

    def _alone(self, call):
        def calling(*given, **named):
            with self._turn:
                return call(*given, **named)

        return calling

    def _count(self, half=None):
        self._left -= 1
        if self._left == 0:
            if half:
                half()
            if self._power:
                self._lose()
            os._exit(DEAD)

    def _pwrite(self, file, blob, at):
        path = self._path(file)
        self._remember(path)
        self._count(lambda: self._os["pwrite"](file, blob[: self._random.randrange(len(blob) + 1)], at))
        done = self._os["pwrite"](file, blob, at)
        if "/journal/" in path:  # it is opened so that each write is on disk when it returns
            self._loose.pop(path, None)
        return done

    def _fsync(self, file):
        self._count()
        path = self._path(file)
        self._os["fsync"](file)
        self._loose.pop(path, None)
        self._folders.pop(path, None)

    def _ftruncate(self, file, size):
        self._remember(self._path(file))
        self._count()
        self._os["ftruncate"](file, size)

    def _open(self, path, flags, *mode):
        is_new = flags & os.O_CREAT and not os.path.exists(path)
        if is_new:
            self._count()
            self._folders.setdefault(os.path.dirname(path), set()).add(str(path))
        return self._os["open"](path, flags, *mode)

    def _unlink(self, path, *rest, **more):
        self._count()
        self._os["unlink"](path, *rest, **more)
        self._folders.get(os.path.dirname(path), set()).discard(str(path))
        self._loose.pop(str(path), None)

    def _replace(self, old, new):
        self._count()
        self._os["replace"](old, new)

    def _path(self, file):
        return os.readlink(f"/proc/self/fd/{file}")

    def _remember(self, path):
        if path not in self._loose:
            with open(path, "rb") as file:
                self._loose[path] = file.read()

    def _lose(self):
        for path, before in self._loose.items():
            if os.path.exists(path) and self._random.random() < 0.6:
                now = Path(path).read_bytes()
                zeros = before[: len(now)] + bytes(max(0, len(now) - len(before)))
                Path(path).write_bytes(self._random.choice((before, zeros)))
        for paths in self._folders.values():
            for path in sorted(paths):
                if os.path.exists(path) and self._random.random() < 0.5:
                    self._os["unlink"](path)


def crash(folder: Path, seed: int, last: int, power: bool) -> tuple[int, list[int]]:
    """How the child ended that a store in `folder` was asked in, and how many answers each writer had."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = BROKEN
        try:
            Disk(folder, last, power)
            asyncio.run(_live(folder, seed, lambda writer: os.write(writing, _ACK.pack(writer))))
            status = WHOLE
        except BaseException:  # noqa: BLE001  # this process is over, whatever it was
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as said:
        raw = said.read()
    _, status = os.waitpid(child, 0)
    acked = [writer for (writer,) in _ACK.iter_unpack(raw[: len(raw) - len(raw) % _ACK.size])]
    return os.waitstatus_to_exitcode(status), [acked.count(writer) for writer in range(WRITERS)]


async def _live(folder, seed, told):
    store = Store(folder, **SIZES)
    await asyncio.gather(*(_write(store, seed, writer, told) for writer in range(WRITERS)))
    await store.close()


async def _write(store, seed, writer, told):
    model, chance = Model(), Chance(f"{seed} {writer}", names(writer), spares=("ttl",))
    for _ in range(REQUESTS):
        op = chance.op(model)
        expected, answer = model.apply(op), await perform(store, op)
        if answer != expected:
            raise AssertionError(f"{op} was answered {answer}, not {expected}")
        told(writer)


def model_after(seed, writer, requests):
    model, chance = Model(), Chance(f"{seed} {writer}", names(writer), spares=("ttl",))
    for _ in range(requests):
        model.apply(chance.op(model))
    return model


async def findings(folder: Path, seed: int, acked: list[int]) -> list[str]:
    """What is not as it has to be, in sentences."""
    store, said, models = Store(folder, **SIZES), [], []
    try:
        for writer, count in enumerate(acked):
            without, more = (model_after(seed, writer, requests) for requests in (count, count + 1))
            missing = await differences(store, without, names(writer))
            surplus = await differences(store, more, names(writer)) if missing else []
            if missing and surplus:
                said.append(f"Writer {writer} after {count}: {missing}; with one more: {surplus}")
            models.append(more if missing else without)
        said += await misnamed(store, *models)
    finally:
        await store.close()
    return said
