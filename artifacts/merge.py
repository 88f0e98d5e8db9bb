"""Three-way merge of trees: file by file, line by line where both sides changed one."""

from dataclasses import dataclass

import pygit2
from pygit2.enums import FileMode

from artifacts.bare import Bare, Change, Entry


@dataclass(frozen=True)
class Merge:
    """The merged tree. At a path in `conflicts`, as git has it, it holds what our side had."""

    tree: str
    conflicts: tuple[str, ...] = ()


def merge(bare: Bare, base: str, ours: str, theirs: str) -> Merge:
    """Bring what changed from `base` to `theirs` into `ours`."""
    if ours in (base, theirs):
        return Merge(theirs)
    mine = {change.real: change for change in bare.changes(base, ours)}
    edits: dict[str, Entry | None] = {}
    conflicts = []
    for change in bare.changes(base, theirs):
        met = mine.get(change.real)
        if met is None and not _in_the_way(bare, ours, change):
            edits[change.real] = _entry(change)
        elif met is None or (met.new, met.new_mode) != (change.new, change.new_mode):
            merged = _lines(bare, met, change) if met else None
            if merged is None:
                conflicts.append(change.real)
            else:
                edits[change.real] = merged
    return Merge(bare.edit(ours, edits) if edits else ours, tuple(conflicts))


def _entry(change: Change) -> Entry | None:
    return Entry(change.real, change.new, change.new_mode) if change.new else None


def _in_the_way(bare: Bare, ours: str, change: Change) -> bool:
    """True if our side has a file where theirs needs a folder, or a folder where theirs puts a file."""
    if change.kind != "added":
        return False
    if bare.holding(ours, change.real) is not None:
        return True
    parents = change.real.split("/")[:-1]
    above = (bare.holding(ours, "/".join(parents[: n + 1])) for n in range(len(parents)))
    return any(entry is not None and not entry.is_folder for entry in above)


def _lines(bare: Bare, mine: Change, their: Change) -> Entry | None:
    """Both sides changed the file: their lines and ours together, or None if they touch each other."""
    plain = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)
    if not (mine.old and mine.new and their.new) or mine.new_mode not in plain or their.new_mode not in plain:
        return None
    if any(_is_binary(bare, oid) for oid in (mine.old, mine.new, their.new)):
        return None
    sides = [(mine.old, mine.old_mode), (mine.new, mine.new_mode), (their.new, their.new_mode)]
    old, ours, theirs = (pygit2.IndexEntry(mine.path, pygit2.Oid(hex=oid), FileMode(mode)) for oid, mode in sides)
    result = bare.repo.merge_file_from_index(old, ours, theirs, use_deprecated=False)
    if result.automergeable:
        mode = their.new_mode if mine.new_mode == mine.old_mode else mine.new_mode
        return Entry(mine.real, bare.blob(result.contents.encode()), mode)
    return None


def _is_binary(bare: Bare, oid: str) -> bool:
    content = bare.read(oid)
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in content
