"""What counts as a path inside a repository."""

import os
import re

from houses.refusals import Refused

LONGEST = 1024
# `.git` is spelled in many ways on other people's file systems; libgit2 refuses these too.
_GIT = re.compile(r"(\.git|git~1)[ .]*($|[:\\])", re.IGNORECASE)


class OutsideRepository(Refused):
    """A path that does not name a file of the repository."""

    code = "path_outside_repository"
    status = 400


def inside_repository(path: str) -> str:
    """The same path, if it is relative, clean and names something a repository may hold; else a refusal."""
    problem = _problem(path)
    if problem:
        shown = path[:80].encode("utf-8", "replace").decode().replace("\0", "?")
        raise OutsideRepository(f"`{shown}` is not a path inside the repository: {problem}.")
    return path


def as_target(named: str) -> str:
    """The path of a file to be made, as people name it: `./` in front of it means nothing."""
    return inside_repository(named.strip().removeprefix("./"))


def as_git_has_it(path: str) -> str:
    """The same path, if a repository from elsewhere may hold it: what is not UTF-8 in it travels as surrogates."""
    try:
        text = told(path)
    except UnicodeEncodeError:  # not even bytes: refused like any other
        text = path
    inside_repository(text)
    return path


def told(path: str) -> str:
    """A path as text: names that are not UTF-8 lose what is not."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "replace")


def is_inside_repository(path: str) -> bool:
    return _problem(path) == ""


def _problem(path: str) -> str:
    parts = path.split("/")
    if not path or len(path) > LONGEST:
        return f"it has to be between 1 and {LONGEST} characters long"
    if "\0" in path or not _is_utf8(path):
        return "it has to be UTF-8 text without NUL"
    if path.startswith("/"):
        return "it has to be relative, without a leading slash"
    if "" in parts or "." in parts or ".." in parts:
        return "`..`, `.` and empty parts are not allowed"
    if "git" in path.lower() and any(map(_GIT.match, parts)):
        return "`.git` belongs to git"
    return ""


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
