"""What changed between two versions of files, line by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pygit2

from artifacts.bare import Bare
from houses.refusals import NotFound

LONGEST = 400_000  # bytes of a file that is compared
LINES = 1500  # of one file
WORDS = {"+": "added", "-": "deleted"}


@dataclass(frozen=True)
class Patch:
    """One file: its lines with what became of each, or why they are not shown."""

    path: str
    change: str
    lines: list[tuple[str, str]]
    note: str = ""
    added: int = 0
    deleted: int = 0


def patches(bare: Bare, changed: Iterable[dict[str, Any]]) -> list[Patch]:
    """The changes of a run or a command, as its last event has them: `path`, `change`, `old` and `new` (object ids)."""
    return [_patch(bare, file["path"], file["change"], file.get("old"), file.get("new")) for file in changed]


def _patch(bare: Bare, path: str, change: str, old: str | None, new: str | None) -> Patch:
    try:
        before, after = _blob(bare, old), _blob(bare, new)
    except NotFound as gone:
        return Patch(path, change, [], gone.detail)
    if max(one.size for one in (before, after) if one is not None) > LONGEST:
        return Patch(path, change, [], "Too long to be compared here.")
    if any(one is not None and one.is_binary for one in (before, after)):
        return Patch(path, change, [], "Not text.")
    compared: Any = pygit2.Patch.create_from(before, after)
    lines: list[tuple[str, str]] = []
    for hunk in compared.hunks:
        lines.append(("hunk", hunk.header.strip()))
        lines += [(WORDS.get(line.origin, "same"), line.content.rstrip("\n")) for line in hunk.lines]
    return Patch(
        path,
        change,
        lines[:LINES],
        f"{len(lines) - LINES} more lines" if len(lines) > LINES else "",
        sum(kind == "added" for kind, _ in lines),
        sum(kind == "deleted" for kind, _ in lines),
    )


def _blob(bare: Bare, oid: str | None) -> "pygit2.Blob | None":
    if not oid:
        return None
    found = bare.repo.get(oid)
    if not isinstance(found, pygit2.Blob):
        raise NotFound("This version is not in the repository any more.")
    return found
