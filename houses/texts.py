"""Texts that people and programs give: names of one line, prose, words, of characters that every place can keep."""

import re
import unicodedata
from typing import Any

from houses.refusals import Invalid

LONGEST = 200  # characters of a name
UNFIT = re.compile(r"[\0\ud800-\udfff]")  # NUL and halves of characters: no column and no program takes them
WORD = re.compile(r"[a-z][a-z0-9_-]{0,59}")


def one_line(text: str, longest: int = LONGEST) -> str:
    """The text without line breaks, control characters and halves of characters; it may come out empty."""
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return " ".join("".join(kept).split())[:longest]


def line_of(value: Any, where: str, longest: int = LONGEST, *, needed: bool = False) -> str:
    """A text as one line. Raises `Invalid` for what is no text, too long, or nothing where something is needed."""
    line = one_line(text_of(value, where, longest, needed=needed), longest)
    if needed and not line:
        raise Invalid(f"{where}: this may not be empty.")
    return line


def text_of(value: Any, where: str, longest: int = 500, *, needed: bool = False) -> str:
    """A text of one line or more, without what no column keeps. Raises `Invalid`."""
    if not isinstance(value, str) or UNFIT.search(value):
        raise Invalid(f"{where}: this is text, without NUL and halves of characters.")
    if needed and not value.strip():
        raise Invalid(f"{where}: this may not be empty.")
    if len(value) > longest:
        raise Invalid(f"{where}: this is longer than {longest:,} characters.")
    return value.strip()


def word(value: Any, where: str) -> str:
    """One word of an open set, spelled like the others: `github-repo`. Raises `Invalid`."""
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise Invalid(f"{where}: this is one word of small letters, digits, - and _, like `github-repo`.")
    return value


def words_of(values: Any, where: str, most: int = 100) -> list[str]:
    """Several short texts, each of them once, in their order. Raises `Invalid`."""
    if not isinstance(values, list | tuple) or len(values) > most:
        raise Invalid(f"{where}: this is a list of at most {most} texts.")
    return list(dict.fromkeys(word for value in values if (word := text_of(value, where, 100))))
