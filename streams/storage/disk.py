"""What the operating system does in parts, done whole: writing, replacing a file, keeping what lies in a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # what a disk says that has no room


def write_fully(file: int, blob: bytes, at: int) -> None:
    """Every byte of it, from `at` on, not synced. Raises `OSError`, and then some of it may be there."""
    done = os.pwrite(file, blob, at)
    while done < len(blob):
        done += os.pwrite(file, blob[done:], at + done)


def sync_folder(folder: str | Path) -> None:
    """Which files are in it survives a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def replace_durably(path: str | Path, content: bytes) -> None:
    """On return the file holds that and survives a power cut; on an `OSError` or a crash, that or what it held."""
    with open(f"{path}.new", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
    sync_folder(os.path.dirname(path))
