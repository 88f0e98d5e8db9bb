"""Calls of tools and what they cost, as somebody would say it in a line."""

import json
from collections.abc import Mapping
from typing import Any

FIRST = ("command", "cmd", "path", "file_path", "pattern", "query", "url", "target", "text", "question", "prompt")
LONGEST, LINES = 300, 200
OLD, NEW = ("old_string", "oldText", "old_text"), ("new_string", "newText", "new_text")


def called_with(arguments: Mapping[str, Any]) -> str:
    """The argument that says most, or all of them."""
    for name in FIRST:
        if isinstance(arguments.get(name), str) and arguments[name].strip():
            return _short(arguments[name].strip())
    return _short(json.dumps(arguments, ensure_ascii=False)) if arguments else ""


def written(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a call would write, line by line with what becomes of each: added or deleted."""
    edits = arguments.get("edits")
    lines: list[tuple[str, str]] = []
    for edit in edits if isinstance(edits, list) else [arguments]:
        if isinstance(edit, Mapping):
            lines += [("deleted", line) for line in _first(edit, OLD)]
            lines += [("added", line) for line in _first(edit, (*NEW, "content"))]
    return lines[:LINES]


def totals(spent: Mapping[str, Any]) -> dict[str, Any]:
    """All tokens together, and the money where somebody knows it."""
    tokens = sum(
        int(count)
        for name, count in spent.items()
        if name.removesuffix("_tokens") in ("input", "output", "cache_read", "cache_write") and count
    )
    usd = spent.get("usd")
    return {"tokens": tokens, "usd": None if usd is None else float(usd)}


def _first(edit: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    texts = (edit[name] for name in names if isinstance(edit.get(name), str))
    return next(texts, "").splitlines()


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
