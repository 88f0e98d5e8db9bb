"""The `.git` of a tree in a sandbox: a branch and an index of its own, and the objects of the bare repository.

The objects are shown to the sandbox read-only, so a work tree costs the same however long its history is. A commit that
somebody makes inside stays in that `.git`, and in its reflog once the branch moves on; the files land on the branch by
arbe's own landing, as after every command, for which a snapshot passes `.git` by.

Whoever has the sandbox writes this `.git`. No git ever runs on it outside: it is opened folder by folder, no link is
followed, and two small files are compared with what arbe wrote, to leave alone what somebody made their own.
"""

import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from artifacts.bare import Bare
from artifacts.index import index, settle
from artifacts.restore import Owner, enter
from artifacts.tree import Memory
from artifacts.walk import descend, open_folder

GIT, ALTERNATES, HEAD = ".git", "objects/info/alternates", "HEAD"
# Change times move when arbe sets access times, so they say nothing; and git starts nothing by itself.
CONFIG = b"""[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\ttrustctime = false
\tfsmonitor = false
[gc]
\tauto = 0
"""
EXCLUDE = b"__pycache__/\n"
_SHORT = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class WorkTree:
    """A folder with a `.git`. The sandbox sees the bare repository's objects at `objects`, itself as user `agent`."""

    folder: Path
    objects: str
    agent: int
    owner: Owner
    cache: Path

    def track(self, bare: Bare, branch: str, commit: str, before: str | None = None) -> bool:
        """Have git inside compare with this commit, as the head of the branch. While nothing runs there.

        False if there is a `.git` that is somebody's own. A head that they put elsewhere than on the branch `before`
        stays there and keeps its index.
        """
        with suppress(OSError):
            root = open_folder(str(self.folder), None)
            try:
                return self._track(root, bare, branch, commit, before or branch)
            finally:
                os.close(root)
        return False

    def _track(self, root: int, bare: Bare, branch: str, commit: str, before: str) -> bool:
        is_new = not _is_there(root, GIT)
        git = enter(GIT, root, self.owner) if is_new else open_folder(GIT, root)
        try:
            shared = f"{self.objects}\n".encode()
            if is_new:
                self._write(git, ALTERNATES, shared)
            if _read(git, ALTERNATES) != shared:
                return False
            head, ours = _read(git, HEAD), _pointing(branch)
            self._write(git, f"refs/heads/{branch}", f"{commit}\n".encode())
            is_ours = head in (None, ours, _pointing(before))
            if is_ours:
                self._write_index(git, root, bare, commit)
            if head is None:
                for path, content in (("config", CONFIG), ("info/exclude", EXCLUDE)):
                    self._write(git, path, content)
            if is_ours and head != ours:
                self._write(git, HEAD, ours)
            return True
        finally:
            os.close(git)

    def _write_index(self, git: int, root: int, bare: Bare, commit: str) -> None:
        now, memory = time.time_ns(), Memory.load(self.cache, bare)
        before = dict(memory.files)
        certain = settle(root, memory, now)
        if memory.files != before:
            memory.save(self.cache)
        scratch = self.cache.with_name(self.cache.name + ".index")
        self._write(git, "index", index(bare, commit, certain, self.agent, scratch), now)

    def _write(self, git: int, path: str, content: bytes, moment: int | None = None) -> None:
        *folders, name = path.split("/")
        fd = os.dup(git)
        try:
            for folder in folders:
                below = enter(folder, fd, self.owner)
                os.close(fd)
                fd = below
            beside = f".arbe-{secrets.token_hex(8)}"
            with open(os.open(beside, _NEW, 0o600, dir_fd=fd), "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                if self.owner:
                    os.fchown(file.fileno(), *self.owner)
                if moment:
                    os.utime(file.fileno(), ns=(moment, moment))
            with suppress(FileNotFoundError):  # nobody looks now, and replacing has some file systems write at once
                os.unlink(name, dir_fd=fd)
            os.rename(beside, name, src_dir_fd=fd, dst_dir_fd=fd)
        finally:
            os.close(fd)


def _pointing(branch: str) -> bytes:
    return f"ref: refs/heads/{branch}\n".encode()


def _is_there(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _read(git: int, path: str) -> bytes | None:
    *folders, name = path.split("/")
    try:
        fd = descend(git, folders)
        try:
            file = os.open(name, _READ, dir_fd=fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return None
    try:
        return os.read(file, _SHORT) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)
