"""What git holds, as arbe tells of it: commits and their authors, entries of trees, changes between them."""

import re
import time
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import FileMode


@dataclass(frozen=True)
class Author:
    """Who commits, and when; the address of an agent is `<id>@arbe`."""

    name: str
    email: str
    time: int = field(default_factory=lambda: int(time.time()))

    @property
    def signature(self) -> pygit2.Signature:
        name = re.sub(r"[<>\n\r\0]", " ", self.name).strip() or "nobody"
        return pygit2.Signature(name, re.sub(r"[<>\s\0]", "", self.email) or "nobody@arbe", self.time, 0)

    @property
    def variables(self) -> dict[str, str]:
        """Who commits, for a git that runs in a sandbox."""
        who = self.signature
        said = {"NAME": who.name, "EMAIL": who.email}
        return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in said.items()}


@dataclass(frozen=True)
class Commit:
    """One commit, as far as arbe tells of it."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Author
    message: str


@dataclass(frozen=True)
class Entry:
    """What a tree holds under a path."""

    path: str
    oid: str
    mode: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_folder(self) -> bool:
        return self.mode == FileMode.TREE

    @property
    def is_link(self) -> bool:
        return self.mode == FileMode.LINK

    @property
    def is_file(self) -> bool:
        return self.mode in (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)


@dataclass(frozen=True)
class Change:
    """One path that differs between two trees; `kind` is added, changed or deleted.

    `path` is what can be told. A name that is not UTF-8 is another one in the tree and on the disk: `real`.
    """

    path: str
    kind: str
    old: str | None
    new: str | None
    old_mode: int = 0
    new_mode: int = 0
    real: str = ""
