"""A bare git repository through libgit2: commits, trees, blobs and the difference between two trees.

Object ids are hexadecimal text everywhere outside of this module.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pygit2
from pygit2.enums import DeltaStatus, DiffOption, FileMode, ObjectType

from artifacts.objects import Author, Change, Commit, Entry
from artifacts.paths import as_git_has_it, inside_repository, told
from houses.refusals import NotFound, Refused

__all__ = ["EMPTY_TREE", "Author", "Bare", "Change", "Commit", "Entry"]

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SNAPSHOTS = "refs/arbe/snapshots/"
_KINDS = {DeltaStatus.ADDED: "added", DeltaStatus.DELETED: "deleted"}


class Moved(Refused):
    """The branch is no longer where it was looked at. Whoever tries again looks again."""

    code = "branch_moved"


@dataclass(frozen=True)
class Bare:
    """A bare repository in a folder of the host."""

    path: Path

    @classmethod
    def create(cls, path: Path, by: Author, branch: str = "main") -> Self:
        """A new repository with an empty first commit, so that there is always something to compare with."""
        pygit2.init_repository(str(path), bare=True, initial_head=branch)
        bare = cls(Path(path))
        bare.set_branch(branch, bare.commit(bare.empty(), [], by, "The beginning"))
        return bare

    @cached_property
    def repo(self) -> pygit2.Repository:
        return pygit2.Repository(str(self.path))

    # What is there

    def head(self, branch: str) -> str | None:
        """The newest commit of a branch."""
        try:
            return str(self.repo.lookup_reference(f"refs/heads/{branch}").target)
        except (KeyError, pygit2.InvalidSpecError):
            return None

    def tree_of(self, commit: str) -> str:
        return str(self._tree(commit).id)

    def entry(self, treeish: str, path: str) -> Entry | None:
        """What a commit or tree holds at a path."""
        return self.holding(treeish, inside_repository(path))

    def holding(self, treeish: str, path: str) -> Entry | None:
        """The same at a path that came out of a tree, whatever its name."""
        try:
            found = self._tree(treeish)[path]
        except KeyError:
            return None
        return Entry(path, str(found.id), int(found.filemode))

    def oids(self, treeish: str, paths: Iterable[str]) -> dict[str, str | None]:
        """The object id of each path, None for what is not there. Every folder is opened once."""
        folders: dict[str, pygit2.Tree | None] = {"": self._tree(treeish)}
        found: dict[str, str | None] = {}
        for path in paths:
            above, slash, name = path.rpartition("/")
            if above not in folders:
                _open(folders, above)
            folder = folders[above] if above or not slash else None
            found[path] = str(folder[name].id) if folder is not None and name and name in folder else None
        return found

    def listing(self, treeish: str, folder: str = "") -> list[Entry]:
        """The entries of a folder: folders first, then files, by name."""
        tree: Any = self._tree(treeish)
        if folder:
            found = self.entry(treeish, folder)
            if found is None or not found.is_folder:
                raise NotFound(f"There is no folder `{folder}` in this repository.")
            tree = self.repo[found.oid]
        prefix = f"{folder}/" if folder else ""
        entries = [Entry(prefix + told(os.fsdecode(e.raw_name)), str(e.id), int(e.filemode)) for e in tree]
        return sorted(entries, key=lambda e: (not e.is_folder, e.name))

    def files(self, treeish: str) -> Iterator[Entry]:
        """Every file of a tree, links too."""
        for change in self.changes(EMPTY_TREE, self.tree_of(treeish)):
            yield Entry(change.real, change.new or "", change.new_mode)

    def size(self, oid: str) -> int:
        return self._blob(oid).size

    def read(self, oid: str, limit: int | None = None) -> bytes:
        """The bytes of a file, at most `limit` of them."""
        return bytes(memoryview(self._blob(oid))[:limit])

    def lookup(self, commit: str) -> Commit:
        """One commit by its id."""
        found: Any = self.repo.get(commit)
        if not isinstance(found, pygit2.Commit):
            raise NotFound(f"There is no commit {commit[:12]} in this repository.")
        who = found.author
        author = Author(told(os.fsdecode(who.raw_name)), told(os.fsdecode(who.raw_email)), who.time)
        return Commit(str(found.id), str(found.tree_id), tuple(map(str, found.parent_ids)), author, _message(found))

    def changes(self, old: str, new: str) -> list[Change]:
        """What differs between two trees; subtrees that are the same are never opened, and no content is read."""
        if old == new:
            return []
        diff = self._tree(old).diff_to_tree(self._tree(new), flags=DiffOption.INCLUDE_TYPECHANGE)
        return [_change(delta) for delta in diff.deltas]

    def changed_by(self, branch: str, path: str, old: str | None = None) -> Commit | None:
        """The commit that put at `path` what the branch holds there now (or that took it away).

        None when the branch still holds `old`.
        """
        at = self.head(branch)
        present = self.oids(at, [path])[path] if at else None
        if at is None or present == old:
            return None
        while True:
            commit = self.lookup(at)
            # A parent that already had it tells an older story; the first that did is the one to follow.
            before = next((p for p in commit.parents if self.oids(p, [path])[path] == present), None)
            if before is None:
                return commit
            at = before

    # What can be done

    def blob(self, content: bytes) -> str:
        return str(self.repo.create_blob(content))

    def edit(self, tree: str, edits: Mapping[str, "bytes | str | Entry | None"]) -> str:
        """A tree with some paths written (bytes, an object id, an entry with its mode) or removed (None)."""
        if not edits:
            return tree
        nested: dict[str, Any] = {}
        for path, value in edits.items():
            *folders, name = as_git_has_it(path).split("/")
            level = nested
            for folder in folders:
                if not isinstance(level.get(folder), dict):
                    level[folder] = {}
                level = level[folder]
            if value is not None or not isinstance(level.get(name), dict):
                level[name] = value
        return self._edit(None if tree == EMPTY_TREE else self._tree(tree), nested) or self.empty()

    def commit(self, tree: str, parents: list[str], by: Author, message: str) -> str:
        """A commit that no branch holds yet."""
        return str(self.repo.create_commit(None, by.signature, by.signature, message, tree, list(parents)))

    def set_branch(self, branch: str, commit: str, expect: str | None = None) -> None:
        """Put the branch there, if it is still at the commit that is expected; None makes a new one."""
        name = f"refs/heads/{branch}"
        try:
            if expect is None:
                self.repo.references.create(name, commit)
                return
            reference = self.repo.lookup_reference(name)
            if str(reference.target) == expect:
                reference.set_target(commit)  # libgit2 compares once more, under its lock
                return
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise Moved(f"The branch `{branch}` moved in this moment ({error}); try again.") from error
        raise Moved(f"The branch `{branch}` moved in this moment; try again.")

    def put_branch(self, branch: str, commit: str) -> None:
        """Put the branch there, wherever it was, if it was."""
        self.repo.references.create(f"refs/heads/{branch}", commit, force=True)

    def keep(self, name: str, commit: str) -> None:
        """Hold on to a snapshot under a name, so that it is never collected."""
        self.repo.references.create(SNAPSHOTS + name, commit, force=True)

    def kept(self, name: str) -> str | None:
        found = self.repo.references.get(SNAPSHOTS + name)
        return str(found.target) if found else None

    def _edit(self, tree: Any, edits: dict[str, Any]) -> str | None:
        builder = self.repo.TreeBuilder(tree) if tree is not None else self.repo.TreeBuilder()
        raw: dict[bytes, tuple[str, int]] = {}
        for name, value in edits.items():
            there = tree[name] if tree is not None and name in tree else None
            if isinstance(value, dict):
                below = there if isinstance(there, pygit2.Tree) else None
                oid, mode = self._edit(below, value), int(FileMode.TREE)
                if below is None and there is not None and oid is None:
                    continue  # removing below something that is a file: nothing to remove
            else:
                oid, mode = self._written(value, there)
            if there is not None and (oid is None or name != told(name)):
                builder.remove(name)
            if oid is not None and name == told(name):
                builder.insert(name, oid, mode)
            elif oid is not None:
                raw[os.fsencode(name)] = oid, mode
        return self._with_raw(str(builder.write()), raw) if len(builder) or raw else None

    def _with_raw(self, tree: str, entries: Mapping[bytes, tuple[str, int]]) -> str:
        """The tree with entries whose names are not UTF-8, which libgit2's own builder does not take from Python."""
        if not entries:
            return tree
        lines = [(e.raw_name or b"", int(e.filemode), e.id.raw) for e in self._tree(tree)]
        lines += [(name, mode, bytes.fromhex(oid)) for name, (oid, mode) in entries.items()]
        lines.sort(key=lambda line: line[0] + b"/" if line[1] == FileMode.TREE else line[0])
        content = b"".join(b"%o %s\0%s" % (mode, name, oid) for name, mode, oid in lines)
        return str(self.repo.odb.write(ObjectType.TREE, content))

    def _written(self, value: "bytes | str | Entry | None", there: Any) -> tuple[str | None, int]:
        if isinstance(value, Entry):
            return value.oid, value.mode
        executable = there is not None and there.filemode == FileMode.BLOB_EXECUTABLE
        mode = int(FileMode.BLOB_EXECUTABLE if executable else FileMode.BLOB)
        return (self.blob(value) if isinstance(value, bytes) else value), mode

    def empty(self) -> str:
        """The tree that holds nothing, in this repository too."""
        return str(self.repo.TreeBuilder().write())

    def _tree(self, treeish: str) -> pygit2.Tree:
        if treeish == EMPTY_TREE:
            self.empty()
        found = self.repo.get(treeish)
        if found is None:
            raise NotFound(f"There is no version {treeish[:12]} in this repository.")
        return found.peel(pygit2.Tree)

    def _blob(self, oid: str) -> pygit2.Blob:
        found = self.repo.get(oid)
        if not isinstance(found, pygit2.Blob):
            raise NotFound(f"There is no file {oid[:12]} in this repository.")
        return found


def _open(folders: dict[str, pygit2.Tree | None], path: str) -> None:
    """Add a folder, and those above it, to the ones that are open."""
    above, _, name = path.rpartition("/")
    if above not in folders:
        _open(folders, above)
    folder = folders[above]
    below = folder[name] if folder is not None and name and name in folder else None
    folders[path] = below if isinstance(below, pygit2.Tree) else None


def _change(delta: pygit2.DiffDelta) -> Change:
    kind = _KINDS.get(delta.status, "changed")
    old = None if kind == "added" else str(delta.old_file.id)
    new = None if kind == "deleted" else str(delta.new_file.id)
    real = os.fsdecode(delta.new_file.raw_path if new else delta.old_file.raw_path)
    return Change(told(real), kind, old, new, int(delta.old_file.mode), int(delta.new_file.mode), real)


def _message(commit: pygit2.Commit) -> str:
    try:
        return commit.message
    except (LookupError, UnicodeError):  # it names an encoding that nobody knows, or that is not its own
        return commit.raw_message.decode("utf-8", "replace")
