"""Folders of a sandbox's home, kept in git and brought back: what an agent knows of its session is in one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.bare import EMPTY_TREE, Bare
from artifacts.restore import restore
from artifacts.tree import snapshot
from artifacts.walk import open_folder
from sandboxes.provider import ProviderError

NAMES = re.compile(r"[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){0,7}")


def pack(sandbox: Path, bare: Path, folder: str, hide: Callable[[bytes], bytes] | None) -> str:
    """The folder's tree; what cannot be opened without following a link is not there."""
    try:
        with _opened(sandbox / "home", folder, None) as path:
            return snapshot(path, Bare(bare), _cache(sandbox, bare, folder), hide).tree
    except (FileNotFoundError, NotADirectoryError):
        return EMPTY_TREE


def unpack(sandbox: Path, bare: Path, folder: str, tree: str, owner: int | None) -> None:
    """Whatever stands in the way of the folder goes."""
    whose = os.geteuid() if owner is None else owner
    with _opened(sandbox / "home", folder, whose) as path:
        restore(path, Bare(bare), tree, None if owner is None else (owner, owner), _cache(sandbox, bare, folder))


@contextmanager
def _opened(home: Path, folder: str, maker: int | None) -> Iterator[str]:
    """A path to the folder that nobody inside can turn elsewhere; with a maker, it is made."""
    if not NAMES.fullmatch(folder) or {".", ".."} & set(folder.split("/")) or f"{folder}/".startswith("tree/"):
        raise ProviderError(f"{folder!r} cannot name a folder that is kept.", permanent=True)
    fd = open_folder(str(home), None)
    try:
        for name in folder.split("/"):
            above = fd
            fd = _made(name, above, maker) if maker is not None else open_folder(name, above)
            os.close(above)
        yield f"/proc/self/fd/{fd}/."
    finally:
        os.close(fd)


def _made(name: str, above: int, owner: int) -> int:
    try:
        return open_folder(name, above)
    except FileNotFoundError:
        pass
    except NotADirectoryError:  # a file, or a link
        os.unlink(name, dir_fd=above)
    os.mkdir(name, 0o700, dir_fd=above)
    fd = open_folder(name, above)
    os.fchown(fd, owner, owner if os.geteuid() == 0 else -1)
    return fd


def _cache(sandbox: Path, bare: Path, folder: str) -> Path:
    return sandbox / "cache" / f"{bare.name}-{folder.replace('/', '+')}"
