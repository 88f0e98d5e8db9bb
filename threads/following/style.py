"""Colours that go on: what a terminal would still be showing at the end of a piece of output."""

from __future__ import annotations

import re

SGR = re.compile(r"\x1b\[([0-9;:]{0,64})m")  # programs may print numbers of any length; colours are short
ENDS = {
    22: "bold",
    23: "italic",
    24: "under",
    25: "blink",
    27: "reverse",
    28: "hidden",
    29: "struck",
    39: "fg",
    49: "bg",
}
KINDS = {1: "bold", 2: "dim", 3: "italic", 4: "under", 5: "blink", 6: "blink", 7: "reverse", 8: "hidden", 9: "struck"}


def active_style(style: str, text: str) -> str:
    """The SGR parameters active after `text` when it began with those of `style`, as in `1;38;5;208`."""
    active: dict[str, str] = {}
    for parameters in (style or "0", *SGR.findall(text)):
        _apply(active, parameters)
    return ";".join(active.values())


def _apply(active: dict[str, str], parameters: str) -> None:
    codes = [code or "0" for code in parameters.split(";")]
    while codes:
        code, colour = codes.pop(0), ""
        number = int(code.partition(":")[0] or 0)
        if number in (38, 48) and ":" not in code:
            taken = 2 if codes[:1] == ["5"] else 4 if codes[:1] == ["2"] else len(codes)
            colour, codes = ";".join(codes[:taken]), codes[taken:]
        _set(active, number, f"{code};{colour}" if colour else code)


def _set(active: dict[str, str], number: int, parameters: str) -> None:
    if number == 0:
        active.clear()
    elif number in ENDS:
        active.pop(ENDS[number], None)
        if number == 22:
            active.pop("dim", None)
    elif kind := _kind(number):
        active.pop(kind, None)
        active[kind] = parameters


def _kind(number: int) -> str | None:
    if 30 <= number <= 38 or 90 <= number <= 97:
        return "fg"
    if 40 <= number <= 48 or 100 <= number <= 107:
        return "bg"
    return KINDS.get(number)
