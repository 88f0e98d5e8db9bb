"""What git in a sandbox of this machine was last told of its tree: kept beside it, where the sandbox cannot reach."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from sandboxes import bubble


def track(folder: Path, bare: Path, branch: str, commit: str, owner: int | None, cache: Path) -> None:
    """Tell it, if that is news: the branch, or what is known of the files, is not what it was."""
    from artifacts.bare import Bare
    from artifacts.worktree import WorkTree

    news = {"objects": str(bare / "objects"), "branch": branch, "commit": commit}
    before = _told(folder)
    if before == news | {"files": _version(cache)}:
        return
    tree = WorkTree(
        folder=folder / "tree",
        objects=bubble.OBJECTS,
        agent=bubble.AGENT,
        owner=None if owner is None else (owner, owner),
        cache=cache,
    )
    tree.track(Bare(bare), branch, commit, before.get("branch"))
    (folder / "tracked.new").write_text(json.dumps(news | {"files": _version(cache)}))
    (folder / "tracked").unlink(missing_ok=True)  # replacing it has some file systems write at once
    (folder / "tracked.new").rename(folder / "tracked")


def objects(folder: Path) -> str | None:
    """The folder of the repository's objects, which a command sees read-only."""
    found: str | None = _told(folder).get("objects")
    return found if found and os.path.isdir(found) else None


def _told(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "tracked").read_text()))
    except FileNotFoundError:
        return {}


def _version(cache: Path) -> list[int]:
    """Of what is known of the files: it is written anew each time it changes."""
    try:
        found = cache.stat()
    except FileNotFoundError:
        return []
    return [found.st_ino, found.st_mtime_ns]
