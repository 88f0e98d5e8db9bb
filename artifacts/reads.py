"""Observed reads: what a command read, told by the access times of the files.

Before a run every file's access time is set to a marker, long before its change time; the kernel moves it at the first
read even under `relatime`. Nothing is traced and reading costs the command nothing. A file that is read and then
replaced or deleted (`sed -i`, `mv`) is still seen, through a hard link to it in a folder the sandbox cannot reach.

While commands overlap in one tree their reads cannot be told apart: arm before the first, not before the others.
"""

import ctypes
import os
import re
import stat
import tempfile
from pathlib import Path

import orjson

from artifacts.walk import walk

MARKER_NS = 1
_ANCIENT_NS = 1_000_000_000  # coarse clocks round the marker, so anything within the first second counts as it
_INDEX = "index"
_OMIT = (1 << 30) - 2
_COMPILED = re.compile(r"(^|.*/)__pycache__/([^/]+?)\.[^/.]+(?:\.opt-\d)?\.pyc")

_libc = ctypes.CDLL(None, use_errno=True)


class _Times(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


# Python's os.utime cannot leave one of the two times alone, and writing the change time back could undo a change.
_MARK = (_Times * 2)(_Times(0, MARKER_NS), _Times(0, _OMIT))


def probe(folder: "str | os.PathLike[str]") -> bool:
    """True if the file system of this folder tells who was read."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".arbe-") as file:
        file.write(b"?")
        file.flush()
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _mark(fd, os.path.basename(file.name))
        except OSError:
            return False
        finally:
            os.close(fd)
        before = os.stat(file.name).st_atime_ns
        Path(file.name).read_bytes()
        return before < _ANCIENT_NS <= os.stat(file.name).st_atime_ns


def arm(folder: "str | os.PathLike[str]", farm: "str | os.PathLike[str]") -> bool:
    """Mark every file, and keep a link to each in `farm`. False if some file could not be watched."""
    os.makedirs(farm, mode=0o700, exist_ok=True)
    links = set(os.listdir(farm)) - {_INDEX}
    index: dict[str, int] = {}
    complete = True
    there = os.open(farm, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for found in walk(folder, frozenset((".git",))):
            if not stat.S_ISREG(found.stat.st_mode):
                continue
            link = str(found.stat.st_ino)
            try:
                if found.stat.st_atime_ns != MARKER_NS:
                    _mark(found.fd, found.name)
                if link not in links and link not in index:
                    _link(found.name, found.fd, link, there)
                index[found.path] = found.stat.st_ino
            except OSError:
                complete = False
        for link in links.difference(map(str, index.values())):
            os.unlink(link, dir_fd=there)
    finally:
        os.close(there)
    Path(farm, _INDEX).write_bytes(orjson.dumps({os.fsencode(p).hex(): ino for p, ino in index.items()}))
    return complete


def reads(folder: "str | os.PathLike[str]", farm: "str | os.PathLike[str]") -> set[str]:
    """The paths, as they were when armed, of the files that somebody has read since."""
    try:
        index = orjson.loads(Path(farm, _INDEX).read_bytes())
    except FileNotFoundError:
        return set()
    with os.scandir(farm) as links:
        read = {link.name for link in links if link.stat(follow_symlinks=False).st_atime_ns > _ANCIENT_NS}
    paths = {os.fsdecode(bytes.fromhex(path)) for path, inode in index.items() if str(inode) in read}
    return {source for path in paths for source in _sources(path)}


def _sources(path: str) -> tuple[str, ...]:
    """A compiled Python module stands for its source, which Python does not open again while that is unchanged."""
    compiled = _COMPILED.fullmatch(path)
    return (f"{compiled[1]}{compiled[2]}.py",) if compiled else (path,)


def _mark(fd: int, name: str) -> None:
    if _libc.utimensat(fd, os.fsencode(name), _MARK, 0x100):  # AT_SYMLINK_NOFOLLOW
        raise OSError(ctypes.get_errno(), "cannot set the access time")


def _link(name: str, fd: int, link: str, there: int) -> None:
    try:
        os.link(name, link, src_dir_fd=fd, dst_dir_fd=there, follow_symlinks=False)
    except FileExistsError:  # two names of one file
        pass
