"""How the bytes of a file are shown: markdown as a page, tables as tables, images, text with line numbers."""

import csv
import io
from typing import Any

from houses.markdown import document

ROWS, LINES, CELL = 200, 5000, 400
IMAGES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "svg": "image/svg+xml",
}


def content_of(path: str, content: bytes, size: int, *, image: str, as_source: bool) -> dict[str, Any]:
    """The context of `_content.html`. `image` is where the bytes are, for those that are a picture."""
    suffix = path.rpartition(".")[2].lower()
    shown: dict[str, Any] = {"size": size, "as_source": as_source, "text": None}
    if suffix in IMAGES and not (as_source and suffix == "svg"):
        return shown | {"image": image, "has_source": suffix == "svg"}
    text = text_of(content)
    if text is None:
        return shown
    has_source = suffix in ("md", "markdown", "csv", "tsv")
    lines = text.split("\n")
    shown |= {"has_source": has_source, "lines": len(lines) - (lines[-1] == ""), "text": "\n".join(lines[:LINES])}
    if has_source and not as_source:
        if suffix in ("md", "markdown"):
            return shown | {"rendered": document(text)}
        table = _table(text, "\t" if suffix == "tsv" else ",")
        if table:
            return shown | {"table": table}
    count = min(shown["lines"], LINES)
    cut = shown["lines"] > LINES or size > len(content)
    return shown | {"numbers": "\n".join(map(str, range(1, count + 1))), "cut": cut, "lines": count}


def text_of(content: bytes) -> str | None:
    """The text, if it is one."""
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as wrong:  # a cut may fall inside a character
        return content[: wrong.start].decode() if wrong.start > len(content) - 4 and wrong.start else None


def _table(text: str, separator: str) -> dict[str, Any] | None:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if row]
    except csv.Error:
        return None
    if not rows:
        return None
    head, *body = [[cell[:CELL] for cell in row[:100]] for row in rows[: ROWS + 1]]
    return {"head": head, "rows": body, "count": len(rows) - 1, "more": len(rows) - 1 > len(body)}
