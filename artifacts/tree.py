"""A working tree is a plain folder that sandboxed code writes; arbe takes snapshots of it and puts trees back.

No git ever runs in it: what its `.git` says is somebody's opinion. `.git` and `__pycache__` are passed by at every
level, nothing else is; `.gitignore` is not honoured, what a command made may be worth keeping all the same.
"""

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from pygit2.enums import FileMode

from artifacts.bare import EMPTY_TREE, Bare, Entry
from artifacts.paths import is_inside_repository, told
from artifacts.walk import MOST_FILES, Found, walk

LARGEST = 64 * 1024 * 1024
PASSED_BY = frozenset((".git", "__pycache__"))
# A file may change twice within one tick of the file system's clock: what is this young is read again next time.
YOUNG_NS = 50_000_000
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# What identifies a version of a file without reading it, and its object id: inode, size, change time, mode, id.
Known = tuple[int, int, int, int, str]


@dataclass(frozen=True)
class LeftOut:
    """Something in the folder that the snapshot does not hold, and why."""

    path: str
    size: int
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """What a folder held: the id of a git tree, and what is not in it."""

    tree: str
    left_out: tuple[LeftOut, ...] = ()


@dataclass
class Memory:
    """What the last snapshot of a folder saw: its tree, and the version of every file in it."""

    tree: str = EMPTY_TREE
    files: dict[str, Known] = field(default_factory=dict)

    @classmethod
    def load(cls, cache: Path | None, bare: Bare) -> "Memory":
        try:
            tree, named = orjson.loads(cache.read_bytes()) if cache else (EMPTY_TREE, {})
            files = {name if name.isascii() else os.fsdecode(name.encode("latin-1")): v for name, v in named.items()}
        except (FileNotFoundError, ValueError):
            return cls()
        return cls(tree, files) if tree in bare.repo else cls()

    def save(self, cache: Path | None) -> None:
        if cache:
            fresh = cache.with_name(cache.name + ".new")
            # JSON is text and names are bytes: each byte stands as one character.
            named = {p if p.isascii() else os.fsencode(p).decode("latin-1"): known for p, known in self.files.items()}
            fresh.write_bytes(orjson.dumps((self.tree, named)))
            fresh.replace(cache)


@dataclass
class _Camera:
    bare: Bare
    before: dict[str, Known]
    hide: Callable[[bytes], bytes] | None = None
    after: dict[str, Known] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def look(self, found: Found) -> None:
        reason = self._why_not(found)
        if not reason:
            try:
                self.after[found.path] = self._known(found)
                return
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    return
                reason = str(error.strerror)
            except _NotKept as no:
                reason = str(no)
        self.left_out.append(LeftOut(told(found.path), found.stat.st_size, reason))
        # A file that grew too large was not deleted: the tree goes on holding the version that it last held.
        if found.path in self.before:
            self.after[found.path] = self.before[found.path]

    def _why_not(self, found: Found) -> str:
        kind = found.stat.st_mode
        if found.too_deep:
            return "too many folders in folders"
        if len(self.after) >= MOST_FILES:
            return f"more than {MOST_FILES:,} files"
        if found.path not in self.before and not is_inside_repository(found.path):
            return "its name cannot be kept in git"
        if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
            return "neither file nor link"
        return f"larger than {LARGEST // 2**20} MB" if found.stat.st_size > LARGEST else ""

    def _known(self, found: Found) -> Known:
        known = self.before.get(found.path)
        if known and tuple(known[:4]) == version(found.stat):
            return known
        if stat.S_ISLNK(found.stat.st_mode):
            return (*version(found.stat), self.bare.blob(os.fsencode(os.readlink(found.name, dir_fd=found.fd))))
        status, content = _content(found)
        return (*version(status), self.bare.blob(self.hide(content) if self.hide else content))


class _NotKept(Exception):
    """The file is not what it was a moment ago, and cannot be kept as it is now."""


def snapshot(
    folder: "str | os.PathLike[str]",
    bare: Bare,
    cache: Path | None = None,
    hide: Callable[[bytes], bytes] | None = None,
) -> Snapshot:
    """Write the folder into the repository as a tree; files that `cache` knows unchanged are not read again.

    `hide` takes out of a file's content what is not for keeping, before any of it is written. One cache belongs to one
    folder and one repository, and lives where the sandbox cannot reach it.
    """
    memory, started = Memory.load(cache, bare), time.time_ns()
    camera = _Camera(bare, memory.files, hide)
    for found in walk(folder, PASSED_BY):
        camera.look(found)
    tree = bare.edit(memory.tree, _edits(memory.files, camera.after))
    files = {p: known if known[2] < started - YOUNG_NS else _unsure(known) for p, known in camera.after.items()}
    seen = Memory(tree, files)
    if seen != memory:
        seen.save(cache)
    return Snapshot(tree, tuple(camera.left_out))


def _edits(before: dict[str, Known], after: dict[str, Known]) -> dict[str, Entry | None]:
    edits: dict[str, Entry | None] = dict.fromkeys(before.keys() - after.keys())
    for path, (*_, mode, oid) in after.items():
        known = before.get(path)
        if known is None or known[4] != oid or git_mode(known[3]) != git_mode(mode):
            edits[path] = Entry(path, oid, git_mode(mode))
    return edits


def _unsure(known: Known) -> Known:
    return (known[0], -1, *known[2:])


def version(status: os.stat_result) -> tuple[int, int, int, int]:
    """What tells one version of a file from the next without reading it."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def git_mode(mode: int) -> int:
    """What git keeps of a file's mode."""
    if stat.S_ISLNK(mode):
        return FileMode.LINK
    return FileMode.BLOB_EXECUTABLE if mode & stat.S_IXUSR else FileMode.BLOB


def _content(found: Found) -> tuple[os.stat_result, bytes]:
    fd = _open_unseen(found)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _NotKept("neither file nor link")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _NotKept(f"larger than {LARGEST // 2**20} MB")
    return status, content


def _open_unseen(found: Found) -> int:
    """Open without moving the access time: that is how arbe knows what commands read."""
    try:
        return os.open(found.name, _READ | os.O_NOATIME, dir_fd=found.fd)
    except PermissionError:
        return os.open(found.name, _READ, dir_fd=found.fd)
