"""Terminal output as HTML: colours become classes, every other control sequence is dropped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]{0,64})m"  # colours: the one kind that is kept
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    r"|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[()*+].|\x1b[ -~]|\x1b"
)
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f]")
PALETTE = (
    (0, 0, 0), (170, 0, 0), (0, 140, 0), (150, 110, 0), (0, 60, 190), (150, 0, 150), (0, 140, 150), (190, 190, 190),
    (110, 110, 110), (255, 80, 80), (80, 230, 100), (250, 220, 80), (100, 140, 255), (255, 110, 255), (90, 230, 240),
    (255, 255, 255),
)  # fmt: skip
LEVELS = (0, 95, 135, 175, 215, 255)
FLAGS = {1: "b", 2: "d", 3: "i", 4: "u", 7: "r", 9: "s"}
FORE: dict[int, int | None] = (
    {n: n - 30 for n in range(30, 38)} | {n: n - 82 for n in range(90, 98)} | {38: None, 39: None}
)
BACK = {n + 10: colour for n, colour in FORE.items()}
ENDS = {22: "bd", 23: "i", 24: "u", 27: "r", 29: "s"}


@dataclass(frozen=True)
class Style:
    """What is in force at one place of the output."""

    fore: int | None = None
    back: int | None = None
    flags: str = ""

    def after(self, parameters: str) -> "Style":
        # A program may print any number; a colour has at most three digits.
        codes = [int(code[-3:]) if code else 0 for code in re.split("[;:]", parameters)]
        style, rest = self, iter(codes)
        for code in rest:
            style = style._with(code, rest)
        return style

    def _with(self, code: int, rest: Iterator[int]) -> "Style":
        if code == 0:
            return Style()
        if code in FLAGS:
            return replace(self, flags="".join(sorted({*self.flags, FLAGS[code]})))
        if code in ENDS:
            return replace(self, flags="".join(flag for flag in self.flags if flag not in ENDS[code]))
        colour = _extended(rest) if code in (38, 48) else FORE.get(code, BACK.get(code))
        if code in FORE:
            return replace(self, fore=colour)
        return replace(self, back=colour) if code in BACK else self

    @property
    def classes(self) -> str:
        names = [f"a{flag}" for flag in self.flags]
        names += [f"f{self.fore}"] if self.fore is not None else []
        names += [f"b{self.back}"] if self.back is not None else []
        return " ".join(names)


def _extended(rest: Iterator[int]) -> int | None:
    """256 and true colours become the nearest of the sixteen that both themes have chosen."""
    kind = next(rest, 0)
    if kind == 2:
        return _nearest(next(rest, 0), next(rest, 0), next(rest, 0))
    if kind != 5:
        return None
    number = next(rest, 0)
    if number < 16:
        return number
    if number >= 232:
        grey = 8 + (number - 232) * 10
        return _nearest(grey, grey, grey)
    number -= 16
    return _nearest(LEVELS[number // 36 % 6], LEVELS[number // 6 % 6], LEVELS[number % 6])


def _nearest(red: int, green: int, blue: int) -> int:
    def distance(n: int) -> int:
        r, g, b = PALETTE[n]
        return (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2

    return min(range(16), key=distance)


def coloured(text: str, start: str = "") -> SafeString:
    """HTML for a chunk of output that begins in the style `start` (SGR parameters)."""
    text = "\n".join(map(_last_written, text.split("\n"))) if "\r" in text else text
    style, out, place = Style().after(start) if start else Style(), [], 0
    for found in SEQUENCE.finditer(text):
        out.append(_dressed(text[place : found.start()], style))
        place = found.end()
        if found[1] is not None:
            style = style.after(found[1])
    out.append(_dressed(text[place:], style))
    return mark_safe("".join(out))  # noqa: S308  # every part was escaped by _dressed


def _last_written(line: str) -> str:
    """What a line shows in the end whose beginning was written over, as progress bars do."""
    return line.rstrip("\r").rpartition("\r")[2]


def _dressed(text: str, style: Style) -> str:
    plain = escape(UNSEEN.sub("", text.replace("\r", "")))
    return f'<span class="{style.classes}">{plain}</span>' if plain and style.classes else str(plain)
