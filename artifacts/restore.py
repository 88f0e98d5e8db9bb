"""Putting a tree of the repository into a working folder, writing only what differs."""

import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from pygit2.enums import FileMode

from artifacts.bare import Bare, Change
from artifacts.reads import MARKER_NS
from artifacts.tree import Memory, snapshot, version
from artifacts.walk import descend, open_folder

Owner = tuple[int, int] | None


def restore(
    folder: "str | os.PathLike[str]", bare: Bare, tree: str, owner: Owner = None, cache: Path | None = None
) -> list[Change]:
    """Make the folder hold the tree; what a snapshot leaves out stays. Returns what had to change."""
    os.makedirs(folder, exist_ok=True)
    now = snapshot(folder, bare, cache).tree
    changes = bare.changes(now, tree)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if owner:
            os.fchown(root, *owner)
        for change in changes:
            if change.kind == "deleted":
                _delete(root, change.real)
        for change in changes:
            if change.new:
                _write(root, bare, change, owner)
    finally:
        os.close(root)
    if changes:
        _remember(folder, bare, tree, changes, cache)
    return changes


def _remember(
    folder: "str | os.PathLike[str]", bare: Bare, tree: str, changes: list[Change], cache: Path | None
) -> None:
    """Tell the next snapshot what was written, so that it reads none of it."""
    memory = Memory.load(cache, bare)
    for change in changes:
        memory.files.pop(change.real, None)
        if change.new and change.new_mode != FileMode.COMMIT:
            memory.files[change.real] = (0, -1, 0, change.new_mode, change.new)
            with suppress(OSError):
                memory.files[change.real] = (*version(os.lstat(os.path.join(folder, change.real))), change.new)
    memory.tree = tree
    memory.save(cache)


def _delete(root: int, path: str) -> None:
    parts = path.split("/")
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, OSError):
        fd = descend(root, parts[:-1])
        try:
            os.unlink(parts[-1], dir_fd=fd)
        finally:
            os.close(fd)
    for depth in range(len(parts) - 1, 0, -1):
        try:
            fd = descend(root, parts[: depth - 1])
            try:
                os.rmdir(parts[depth - 1], dir_fd=fd)
            finally:
                os.close(fd)
        except OSError:  # not empty, or gone: either way there is nothing more to take away above
            return


def _write(root: int, bare: Bare, change: Change, owner: Owner) -> None:
    *folders, name = change.real.split("/")
    fd = os.dup(root)
    try:
        for folder in folders:
            below = enter(folder, fd, owner)
            os.close(fd)
            fd = below
        if change.new_mode == FileMode.COMMIT:  # a submodule's content lives elsewhere; its folder says where
            os.close(enter(name, fd, owner))
        else:
            _put(fd, name, bare.read(change.new or ""), change.new_mode, owner)
    finally:
        os.close(fd)


def enter(name: str, fd: int, owner: Owner) -> int:
    """The folder of that name; whatever else has the name, a link too, makes way."""
    try:
        return open_folder(name, fd)
    except FileNotFoundError:
        pass
    except OSError:
        os.unlink(name, dir_fd=fd)
    os.mkdir(name, 0o755, dir_fd=fd)
    below = open_folder(name, fd)
    if owner:
        os.fchown(below, *owner)
    return below


def _put(fd: int, name: str, content: bytes, mode: int, owner: Owner) -> None:
    """Write beside the place and move there at once: nobody ever sees half a file, and no link is written through."""
    beside = f".arbe-{secrets.token_hex(8)}"
    if mode == FileMode.LINK:
        os.symlink(os.fsdecode(content), beside, dir_fd=fd)
    else:
        new = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
        with open(new, "wb") as file:
            file.write(content)
            os.fchmod(new, 0o755 if mode == FileMode.BLOB_EXECUTABLE else 0o644)
            file.flush()
            # A second old, so that a change within the same tick of the clock shows; and already armed.
            os.utime(new, ns=(MARKER_NS, time.time_ns() - 1_000_000_000))
    if owner:
        os.chown(beside, *owner, dir_fd=fd, follow_symlinks=False)
    try:
        os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=fd)
        os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
