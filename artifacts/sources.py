"""Bringing a repository in from elsewhere: a git address, a repository on this machine, or a plain folder."""

import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pygit2
from pygit2.remotes import TransferProgress

from artifacts.bare import EMPTY_TREE, Author, Bare
from artifacts.tree import snapshot
from houses.internet import is_public
from houses.refusals import Refused

SCHEMES = ("https", "http", "ssh", "git")
# Snapshots and pull requests of elsewhere are not ours to keep; the story told in notes is.
FETCHED = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+refs/notes/arbe:refs/notes/arbe"]
ABANDONED = 86_400  # seconds
MOST_BYTES, MOST_OBJECTS = 2 << 30, 5_000_000
_SHORT = re.compile(r"(?:[\w.-]+@)([\w.-]+):[\w./~+-]+", re.ASCII)  # the short form of an ssh address
# What every reader of addresses reads in the same way: what we ask about is where libgit2 goes.
_PLAIN = re.compile(r"[a-z]+://(?:[\w.~%+:-]+@)?(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d+)?(?:/[^\s\\]*)?", re.ASCII | re.I)

pygit2.settings.server_connect_timeout, pygit2.settings.server_timeout = 10_000, 60_000  # milliseconds


class CannotImport(Refused):
    """The source is not one that can be brought in."""

    code = "cannot_import"
    status = 400


@contextmanager
def arriving(house: Path) -> Iterator[Path]:
    """Where to make a repository before it has a name; what others left there by dying is taken away."""
    house.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    house.mkdir(mode=0o700, exist_ok=True)
    for left in house.glob(".arriving-*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
    folder = house / f".arriving-{secrets.token_hex(8)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bring(path: Path, source: str, by: Author, *, trusted: bool = True, closed: Path | None = None) -> tuple[Bare, str]:
    """A new bare repository at `path` with everything of `source`, and the name of its main branch.

    On failure nothing is left at `path`. Folders of this machine, and addresses that only this machine reaches, are for
    the `trusted`; the folder `closed` is for nobody.
    """
    address = _address(source)
    try:
        if isinstance(address, Path):
            address = _open_folder(address, trusted)
            if closed:
                _refuse_if_closed(address, closed.resolve())
            if not _is_repository(address):
                return _from_folder(path, address, by), "main"
        elif not trusted:
            _refuse_if_inside(address)
        return _fetched(path, str(address), by, trusted)
    except (pygit2.GitError, OSError, ValueError, KeyError) as error:
        shutil.rmtree(path, ignore_errors=True)
        if trusted:
            reason = _without_password(str(error)).rstrip(".")
            raise CannotImport(f"`{_without_password(source)[:200]}` cannot be imported: {reason}.") from error
        # Whatever went wrong, it is the same sentence: nobody learns from it what answers where.
        raise CannotImport(f"`{_without_password(source)[:200]}` could not be fetched.") from error
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _address(source: str) -> str | Path:
    scheme = urlsplit(source).scheme.lower()
    if scheme in SCHEMES and "://" in source and not re.search(r"[\s\0]", source):
        return source
    if _SHORT.fullmatch(source):
        return source
    folder = Path(unquote(urlsplit(source).path)) if scheme == "file" else Path(source)
    if "\0" in source or not folder.is_absolute():
        raise CannotImport("Give an https, http, ssh or git address, or the absolute path of a folder on the server.")
    return folder


def _without_password(text: str) -> str:
    return re.sub(r"://[^/\s]*@", "://", text)


def _open_folder(folder: Path, trusted: bool) -> Path:
    """The folder itself, wherever links led to it, if it may be looked at."""
    if not trusted:
        raise CannotImport(
            "Only an operator of this installation imports folders of the server; "
            "give an https, http, ssh or git address."
        )
    if not folder.is_dir():
        raise CannotImport(f"There is no folder `{folder}` on the server.")
    return folder.resolve()


def _refuse_if_closed(folder: Path, closed: Path) -> None:
    """What a repository brings lies where its `.git` leads; of a plain folder everything in it is brought."""
    places = [folder]
    if _is_repository(folder):
        places.append(Path(pygit2.Repository(str(folder)).path).resolve())
    is_around = not _is_repository(folder) and closed.is_relative_to(folder)
    if is_around or any(place.is_relative_to(closed) for place in places):
        raise CannotImport("That folder is where this installation keeps its own files; nobody imports from there.")


def _refuse_if_inside(address: str) -> None:
    """A name may have several addresses: all of them have to be everybody's."""
    found = _SHORT.fullmatch(address) or _PLAIN.fullmatch(address)
    if found is None:
        raise CannotImport("That is an odd address; give it as https://host/path.")
    for *_, (host, *_rest) in socket.getaddrinfo(found[1].strip("[]"), None, type=socket.SOCK_STREAM):
        place = ip_address(str(host).partition("%")[0])
        if not is_public(place):
            raise CannotImport(
                "That address is not on the public internet; only an operator of this installation imports from inside."
            )


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def _from_folder(path: Path, folder: Path, by: Author) -> Bare:
    bare = Bare.create(path, by)
    head = bare.head("main")
    assert head is not None
    tree = snapshot(folder, bare).tree
    if tree != EMPTY_TREE:
        bare.set_branch("main", bare.commit(tree, [head], by, f"Import {folder.name}"), head)
    return bare


class _Bounded(pygit2.RemoteCallbacks):
    """Ends a transfer that brings more than there is room for."""

    def transfer_progress(self, stats: TransferProgress) -> None:
        if stats.received_bytes > MOST_BYTES or stats.total_objects > MOST_OBJECTS:
            raise CannotImport(
                f"That is more than {MOST_BYTES >> 30} GB or {MOST_OBJECTS // 1_000_000} million objects, which is what"
                " fits in; bring in a part of it."
            )


def _fetched(path: Path, address: str, by: Author, trusted: bool) -> tuple[Bare, str]:
    repo = pygit2.init_repository(str(path), bare=True)
    if not trusted:
        repo.config["http.followRedirects"] = "false"  # libgit2: not to another host
    remote = repo.remotes.create_anonymous(address)
    remote.connect()
    heads = {head.name: head.symref_target for head in remote.list_heads(connect=False)}
    remote.fetch(FETCHED, callbacks=_Bounded())
    bare = Bare(path)
    branches = sorted(name.removeprefix("refs/heads/") for name in heads if name and name.startswith("refs/heads/"))
    pointed = (heads.get("HEAD") or "").removeprefix("refs/heads/")
    branch = next((b for b in (pointed, "main", "master", *branches) if b in branches), "main")
    repo.set_head(f"refs/heads/{branch}")
    if bare.head(branch) is None:
        bare.set_branch(branch, bare.commit(bare.empty(), [], by, "The beginning"))
    return bare, branch
