"""What a running command is told on its standard input: a file of whole frames that anybody who may adds to, once per
key, and that its warden reads on. Standard library only, because the warden imports it.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False  # see warden.py
if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = 8  # the length of the key, then that of the data
MOST = 64 << 20


class InputClosed(Exception):
    """Nothing more can be said: its input was closed."""


def add(path: str, key: str, data: bytes) -> None:
    """Appends it unless this key was; an empty key is the end of the input."""
    name = key.encode()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        end = 0
        for found, after in _keys(fd):
            if found == name:
                return
            if not found:
                raise InputClosed
            end = after
        os.ftruncate(fd, end)  # what a sender that was killed had half said
        os.lseek(fd, end, os.SEEK_SET)
        frame = memoryview(len(name).to_bytes(4, "big") + len(data).to_bytes(4, "big") + name + data)
        while frame:
            frame = frame[os.write(fd, frame) :]
    finally:
        os.close(fd)


def _keys(fd: int) -> Iterator[tuple[bytes, int]]:
    """Each whole frame's key, and where the next begins."""
    at, size = 0, os.fstat(fd).st_size
    while (lengths := _lengths(fd, at, size)) is not None:
        key, data = lengths
        yield os.pread(fd, key, at + HEAD), (at := at + HEAD + key + data)


def _lengths(fd: int, at: int, size: int) -> tuple[int, int] | None:
    """Of the key and the data of the frame that begins there; None while it is not whole."""
    head = os.pread(fd, HEAD, at)
    if len(head) < HEAD:
        return None
    key, data = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
    return (key, data) if at + HEAD + key + data <= size else None


class Feed:
    """Passes the frames on to a process, in order, and never waits for it to read."""

    def __init__(self, path: str | None, fd: int) -> None:
        self.path, self.fd, self.at = path, fd, 0
        self.waiting = memoryview(b"\n")  # the gate's line comes first
        self.begun = self.over = False
        os.set_blocking(fd, False)

    @property
    def is_full(self) -> bool:
        """Whether the process has not taken yet what is there for it."""
        return self.begun and not self.over and bool(self.waiting)

    def go_on(self) -> None:
        """As much as fits now."""
        self.begun = True
        try:
            while not self.over and (self.waiting or self._next()):
                self.waiting = self.waiting[os.write(self.fd, self.waiting) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._end()

    def _next(self) -> bool:
        if self.path is None:
            return False
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return self._take(file)
        except BlockingIOError:  # somebody is adding; they ring afterwards
            return False
        finally:
            os.close(file)

    def _take(self, file: int) -> bool:
        if (lengths := _lengths(file, self.at, os.fstat(file).st_size)) is None:
            return False
        key, data = lengths
        if not key:
            self._end()
            return False
        self.waiting = memoryview(os.pread(file, data, self.at + HEAD + key))
        self.at += HEAD + key + data
        return True

    def _end(self) -> None:
        if not self.over:
            self.over = True
            os.close(self.fd)
