"""Postgres refuses to run as root: which account it runs as instead, and what that account can reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

# Not `nobody` first: sandboxed commands and network file systems like to be nobody too.
CANDIDATES = ("postgres", "daemon", "nobody")


@dataclass(frozen=True)
class Account:
    """A system account without privileges."""

    uid: int
    gid: int

    def can_enter(self, folder: Path) -> bool:
        """Whether every folder down to this one may be passed through."""
        return all(self._may_search(step) for step in (folder, *folder.parents))

    def _may_search(self, folder: Path) -> bool:
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def unprivileged() -> Account | None:
    """The account for embedded servers; None when this process is not root and they simply run as it does."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise RuntimeError(f"Postgres does not run as root, and none of the accounts {', '.join(CANDIDATES)} exists here.")
