"""Names that people give to things: one line, of characters that every place can keep."""

import re
import unicodedata

LONGEST = 200  # characters
UNFIT = re.compile(r"[\0\ud800-\udfff]")  # NUL and halves of characters: no column and no program takes them


def one_line(text: str, longest: int = LONGEST) -> str:
    """The text without line breaks, control characters and halves of characters; it may come out empty."""
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
    return " ".join("".join(kept).split())[:longest]
