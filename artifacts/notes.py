"""Derivations as git notes: one JSON line each under `refs/notes/arbe`, on the commit that holds the output.

Rows are for asking, notes are for travelling: whoever clones the repository has the whole story.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pygit2

from artifacts.bare import Author, Bare

REF = "refs/notes/arbe"
LONGEST_LINE = 1_000_000


def append(bare: Bare, commit: str, lines: Sequence[dict[str, Any]], by: Author) -> None:
    """Add lines to the note of a commit; a line that is already there is not added again."""
    try:
        told = bare.repo.lookup_note(commit, REF).message.strip("\n").split("\n")
    except KeyError:
        told = []
    known = set(told)
    written = [line for line in map(canonical, lines) if line not in known]
    if written:
        message = "\n".join([*told, *written]) + "\n"
        bare.repo.create_note(message, by.signature, by.signature, commit, REF, True)


def notes(bare: Bare) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line of every note, with its commit; what is not a JSON object is passed over."""
    reference = bare.repo.references.get(REF)
    if reference is None:
        return
    for commit, blob in _notes(reference.peel(pygit2.Commit).tree, ""):
        for line in blob.data.decode("utf-8", "replace").split("\n"):
            told = _object(line)
            if told is not None:
                yield commit, told


def canonical(value: dict[str, Any]) -> str:
    """JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _notes(tree: pygit2.Tree, prefix: str) -> Iterator[tuple[str, pygit2.Blob]]:
    """Notes fan out into folders when there are many: the names along the way spell the commit."""
    for entry in tree:
        spelled = prefix + (entry.name or "")
        if isinstance(entry, pygit2.Tree):
            yield from _notes(entry, spelled)
        elif isinstance(entry, pygit2.Blob) and len(spelled) == 40:
            yield spelled, entry


def _object(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line) if len(line) <= LONGEST_LINE else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
