"""The index that git inside of a work tree compares its files with, written without reading one of them.

git believes an entry whose size, time and inode are those of the file, and reads the file otherwise: reading would make
it an input of whatever the command makes. It keeps times in seconds, so a file of the second in which the index is
written looks doubtful however unchanged it is.
"""

import os
import stat
import struct
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from artifacts.bare import Bare
from artifacts.reads import MARKER_NS
from artifacts.tree import Known, Memory, git_mode, version
from artifacts.walk import descend

SECOND = 1_000_000_000
_HEADER, _MODE, _OID, _NAME, _CHECKSUM = 12, 24, 40, 62, 20
_STAT = struct.Struct(">6I")  # two for the change time, two for the modification time, device, inode; then the mode
_OWNER = struct.Struct(">3I")  # user, group, size
_MOST = 0xFFFFFFFF


def index(bare: Bare, commit: str, files: Mapping[str, Known], agent: int, scratch: Path) -> bytes:
    """The index of a commit in which each file that is as the commit has it can be told from its status alone.

    `agent` is the user that the files belong to as git sees them; `scratch` a file that nobody else writes.
    """
    scratch.unlink(missing_ok=True)
    bones = pygit2.Index(str(scratch))
    bones.read_tree(bare.repo[bare.tree_of(commit)].peel(pygit2.Tree))
    bones.write()
    data = bytearray(scratch.read_bytes()[:-_CHECKSUM])
    scratch.unlink()
    at = _HEADER
    for _ in range(int.from_bytes(data[8:_HEADER])):
        end = data.index(0, at + _NAME)
        _flesh(data, at, files.get(os.fsdecode(bytes(data[at + _NAME : end]))), bare, agent)
        at += (end - at + 8) & ~7
    return bytes(data + sha1(data, usedforsecurity=False).digest())


def _flesh(data: bytearray, at: int, known: Known | None, bare: Bare, agent: int) -> None:
    mode, oid = int.from_bytes(data[at + _MODE : at + _MODE + 4]), data[at + _OID : at + _OID + 20].hex()
    if known is None or mode == FileMode.COMMIT:
        return
    inode, size, changed = known[:3]
    if (known[4], git_mode(known[3])) != (oid, mode):
        # With the commit's own size git sees most differences without a look into the file.
        inode, size, changed = 0, bare.size(oid), 0
    _STAT.pack_into(data, at, 0, 0, *divmod(changed, SECOND), 0, inode & _MOST)
    _OWNER.pack_into(data, at + _STAT.size + 4, agent, agent, size & _MOST)


def settle(root: int, memory: Memory, now: int) -> dict[str, Known]:
    """What is certain of each file. While nothing else runs in the tree that is open as `root`.

    A file of this very second is made a little older, into the last microsecond before it and in its order, so that
    git does not doubt it and yet sees the next change.
    """
    second = now // SECOND * SECOND
    certain = dict(memory.files)
    for path, known in memory.files.items():
        young = second <= known[2] <= now and stat.S_ISREG(known[3])
        if not young and known[1] >= 0:
            continue
        found = _look(root, path, known, second - 1000 + (known[2] - second) // 1_000_000 if young else None)
        if found is None:
            del certain[path]
        else:
            certain[path] = (*version(found), known[4])
            if young:
                memory.files[path] = (known[0], known[1], *certain[path][2:])
    return certain


def _look(root: int, path: str, known: Known, older: int | None) -> os.stat_result | None:
    *folders, name = path.split("/")
    with suppress(OSError):
        fd = descend(root, folders)
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if (found.st_ino, found.st_mtime_ns, found.st_mode) != (known[0], known[2], known[3]):
                return None
            if older is not None:
                os.utime(name, ns=(MARKER_NS, older), dir_fd=fd, follow_symlinks=False)
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            return found
        finally:
            os.close(fd)
    return None
