"""Which commits changed a path, newest first."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from artifacts.bare import Bare

FURTHEST = 2000  # commits that are looked at


def history(bare: Bare, head: str, path: str, most: int) -> list[dict[str, Any]]:
    """The last commits that left something else at a path than their parent had; of everything, without a path."""
    found: list[dict[str, Any]] = []
    for commit, changed in _walk(bare, head, path):
        if changed:
            found.append(commit)
        if len(found) == most:
            break
    return found


def taken_from(bare: Bare, head: str, tree: str, moment: float) -> str:
    """The commit of a branch that somebody began with who found that tree; else the last one before that moment."""
    oid, last = head, None
    for _ in range(FURTHEST):
        commit = bare.lookup(oid)
        if commit.tree == tree:
            return oid
        if last is None and commit.author.time <= moment:
            last = oid
        if not commit.parents:
            break
        oid = commit.parents[0]
    return last or oid


def _walk(bare: Bare, head: str, path: str) -> Iterator[tuple[dict[str, Any], bool]]:
    oid: str | None = head
    for _ in range(FURTHEST):
        if oid is None:
            return
        commit = bare.lookup(oid)
        parent = commit.parents[0] if commit.parents else None
        shown = {
            "oid": commit.oid,
            "subject": commit.message.partition("\n")[0][:200] or "(no message)",
            "author": commit.author.name,
            "at": datetime.fromtimestamp(commit.author.time, UTC),
        }
        yield shown, not path or _holds(bare, oid, path) != _holds(bare, parent, path)
        oid = parent


def _holds(bare: Bare, commit: str | None, path: str) -> str | None:
    return bare.oids(commit, [path])[path] if commit else None
