"""Walking a folder that hostile code may be writing at this very moment.

Everything goes through file descriptors of folders and no link is ever followed, so a walk cannot be led outside.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

DEEPEST = 100
MOST_FILES = 250_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """Something met on the walk: `name` in the open folder `fd`. Valid until the walk goes on."""

    path: str
    fd: int
    name: str
    stat: os.stat_result
    too_deep: bool = False


def walk(folder: "str | os.PathLike[str]", passing: frozenset[str]) -> Iterator[Found]:
    """Everything below a folder that is not itself a folder; names in `passing` are passed by, at every level."""
    fd = os.open(folder, _FOLDER)
    try:
        yield from _walk(fd, "", passing, DEEPEST)
    finally:
        os.close(fd)


def _walk(fd: int, prefix: str, passing: frozenset[str], depth: int) -> Iterator[Found]:
    folders = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name in passing:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found = Found(prefix + entry.name, fd, entry.name, status, depth == 0)
            if stat.S_ISDIR(status.st_mode) and depth:
                folders.append(found)
            else:
                yield found
    for found in folders:
        try:
            below = open_folder(found.name, fd)
        except OSError:  # gone, replaced by a link, or closed to us: whoever did that hid it
            continue
        try:
            yield from _walk(below, found.path + "/", passing, depth - 1)
        finally:
            os.close(below)


def open_folder(name: str, fd: int | None) -> int:
    """A folder inside an open folder, never through a link."""
    return os.open(name, _FOLDER, dir_fd=fd)


def descend(fd: int, folders: list[str]) -> int:
    """A folder some way below an open folder, never through a link."""
    fd = os.dup(fd)
    for name in folders:
        try:
            below = open_folder(name, fd)
        finally:
            os.close(fd)
        fd = below
    return fd
