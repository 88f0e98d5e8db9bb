"""Bringing a repository in from elsewhere: a git address, a repository on this machine, or a plain folder."""

import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pygit2

from artifacts.bare import EMPTY_TREE, Author, Bare
from artifacts.tree import snapshot
from houses.refusals import Refused

SCHEMES = ("https", "http", "ssh", "git")
# Snapshots and pull requests of elsewhere are not ours to keep; the story told in notes is.
FETCHED = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+refs/notes/arbe:refs/notes/arbe"]


class CannotImport(Refused):
    """The source is not one that can be brought in."""

    code = "cannot_import"
    status = 400


def bring(path: Path, source: str, by: Author, local: bool = True) -> tuple[Bare, str]:
    """A new bare repository at `path` with everything of `source`, and the name of its main branch.

    On failure nothing is left at `path`. Folders of this machine are only looked at if `local`.
    """
    address = _address(source)
    if isinstance(address, Path) and not local:
        raise CannotImport(
            "Only an operator of this installation imports folders of the server; give an https, http, ssh or git address."
        )
    if isinstance(address, Path) and not address.is_dir():
        raise CannotImport(f"There is no folder `{address}` on the server.")
    try:
        if isinstance(address, Path) and not _is_repository(address):
            return _from_folder(path, address, by), "main"
        return _fetched(path, str(address), by)
    except (pygit2.GitError, OSError, ValueError, KeyError) as error:
        shutil.rmtree(path, ignore_errors=True)
        raise CannotImport(f"`{source[:200]}` cannot be imported: {error}.") from error
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _address(source: str) -> str | Path:
    scheme = urlsplit(source).scheme.lower()
    if scheme in SCHEMES and "://" in source and not re.search(r"[\s\0]", source):
        return source
    if re.fullmatch(r"[\w.-]+@[\w.-]+:[\w./~+-]+", source):  # the short form of an ssh address
        return source
    folder = Path(unquote(urlsplit(source).path)) if scheme == "file" else Path(source)
    if "\0" in source or not folder.is_absolute():
        raise CannotImport("Give an https, http, ssh or git address, or the absolute path of a folder on the server.")
    return folder


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def _from_folder(path: Path, folder: Path, by: Author) -> Bare:
    bare = Bare.create(path, by)
    head = bare.head("main")
    assert head is not None
    tree = snapshot(folder, bare).tree
    if tree != EMPTY_TREE:
        bare.set_branch("main", bare.commit(tree, [head], by, f"Import {folder.name}"))
    return bare


def _fetched(path: Path, address: str, by: Author) -> tuple[Bare, str]:
    repo = pygit2.init_repository(str(path), bare=True)
    remote = repo.remotes.create_anonymous(address)
    remote.connect()
    heads = {head.name: head.symref_target for head in remote.list_heads()}
    remote.fetch(FETCHED)
    bare = Bare(path)
    branches = sorted(name.removeprefix("refs/heads/") for name in heads if name and name.startswith("refs/heads/"))
    pointed = (heads.get("HEAD") or "").removeprefix("refs/heads/")
    branch = next((b for b in (pointed, "main", "master", *branches) if b in branches), "main")
    repo.set_head(f"refs/heads/{branch}")
    if bare.head(branch) is None:
        bare.set_branch(branch, bare.commit(bare.empty(), [], by, "The beginning"))
    return bare, branch
