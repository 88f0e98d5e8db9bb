"""Three-way merge of trees: file by file, line by line where both sides changed one."""

import re
from collections.abc import Collection
from dataclasses import dataclass

import pygit2
from pygit2.enums import FileMode
from pygit2.index import MergeFileResult

from artifacts.bare import Bare, Change, Entry

PLAIN = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)
OURS = "yours"
_BEGIN = b"<<<<<<< " + OURS.encode()
_MARK = re.compile(b"^" + _BEGIN + rb"\r?$.*^={7}\r?$.*^>{7} ", re.MULTILINE | re.DOTALL)
MOST_MARKED = 1 << 20  # bytes of a file in which marks are looked for


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


def marked(bare: Bare, base: str, ours: str, theirs: str, paths: Collection[str], name: str) -> dict[str, Entry]:
    """Files that both sides changed, with both in them as git marks it; `name` is what the other side is called.

    Those that have no lines, or that one side took away, are not among them.
    """
    sides = [{c.real: c for c in bare.changes(base, side) if c.real in paths} for side in (ours, theirs)]
    found = {}
    for path in sides[0].keys() & sides[1].keys():
        mine, their = sides[0][path], sides[1][path]
        result = _by_lines(bare, mine, their, (OURS, name))
        if result is not None:
            found[path] = Entry(path, bare.blob(result.contents.encode()), mine.new_mode)
    return found


def still_marked(bare: Bare, base: str, tree: str) -> tuple[str, ...]:
    """Files that differ from the base and have both sides in them, as `marked` left them."""
    new = [c for c in bare.changes(base, tree) if c.new and c.new_mode in PLAIN and bare.size(c.new) < MOST_MARKED]
    return tuple(c.real for c in new if c.new and _is_marked(bare.read(c.new)))


def _is_marked(content: bytes) -> bool:
    return _BEGIN in content and _MARK.search(content) is not None


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
    result = _by_lines(bare, mine, their, (mine.path, mine.path))
    if result is None or not result.automergeable:
        return None
    mode = their.new_mode if mine.new_mode == mine.old_mode else mine.new_mode
    return Entry(mine.real, bare.blob(result.contents.encode()), mode)


def _by_lines(bare: Bare, mine: Change, their: Change, names: tuple[str, str]) -> MergeFileResult | None:
    if not (mine.old and mine.new and their.new) or mine.new_mode not in PLAIN or their.new_mode not in PLAIN:
        return None
    if any(_is_binary(bare, oid) for oid in (mine.old, mine.new, their.new)):
        return None
    sides = [
        (mine.path, mine.old, mine.old_mode),
        (names[0], mine.new, mine.new_mode),
        (names[1], their.new, their.new_mode),
    ]
    old, ours, theirs = (pygit2.IndexEntry(name, pygit2.Oid(hex=oid), FileMode(mode)) for name, oid, mode in sides)
    return bare.repo.merge_file_from_index(old, ours, theirs, use_deprecated=False)


def _is_binary(bare: Bare, oid: str) -> bool:
    content = bare.read(oid)
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in content
