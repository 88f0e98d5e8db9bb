"""Where an embedded server keeps its data, when the account it runs as cannot enter the folder it was given.

A checkout below a private home folder is the usual case. Nobody's permissions are opened for that: the data goes to a
folder of the system instead, and a link in `var` says where.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from arbe.accounts import Account

ELSEWHERE = Path("/var/lib/arbe")


def passable_folder(folder: Path, account: Account | None) -> None:
    """Make the folder if it is missing; others may pass through one that we made, but not list it."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711 if account else 0o700)


def owned_folder(wanted: Path, account: Account | None) -> Path:
    """Make (or find) the folder, private to the account, and give the path that the account can open."""
    if account is None:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        return wanted
    if not wanted.is_symlink() and not account.can_enter(wanted.parent):
        _point_elsewhere(wanted)
    found = wanted.resolve()
    found.mkdir(mode=0o700, exist_ok=True)
    os.chown(found, account.uid, account.gid)
    return found


def installed(package: Path, beside: str, account: Account | None) -> Path:
    """The folder of programs itself, or a copy (with the libraries `beside` it) where the account can run them."""
    if account is None or account.can_enter(package):
        return package
    key = hashlib.sha256(f"{package}{package.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copies = _public_folder() / f"programs-{key}"
    with copies.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two that start at once the second waits, and finds the copy
        if not copies.exists():
            _copy((package, package.with_name(beside)), copies)
    return copies / package.name


def _copy(parts: tuple[Path, ...], copies: Path) -> None:
    """All of it or nothing: a copy that was killed half way is thrown away by the next."""
    partial = copies.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in parts:
        if part.exists():
            shutil.copytree(part, partial / part.name, symlinks=True)
    partial.chmod(0o755)
    partial.rename(copies)


def _point_elsewhere(wanted: Path) -> None:
    there = _public_folder() / f"{wanted.parent.name}-{secrets.token_hex(6)}"
    there.mkdir(mode=0o700)
    if wanted.exists():  # the folder was reachable once: what it holds moves along
        shutil.copytree(wanted, there, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(wanted)
    wanted.symlink_to(there)


def _public_folder() -> Path:
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    return ELSEWHERE
