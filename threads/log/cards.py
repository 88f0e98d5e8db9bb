"""Cards of work on a page of a log: each gathers what the log says of one command, make, run, answer or call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import get_template
from django.urls import reverse
from django.utils.html import format_html

from houses.markdown import prose
from threads.log.rendering import Piece
from threads.log.told_calls import totals

SHOWN = 60_000  # characters of HTML of one command's output on a page; the rest is on the command's own
GATHERED = {"lines", "fill", "state", "foot", "parts", "text"}
SLOT = re.compile(r"<!--(lines|work|did|calls|parts|spent|foot)-->|<!--(state)-->.*?<!--/state-->", re.DOTALL)
OPEN = " open data-doings"  # what an agent did folds once it is over: the answer is what one wants to see


@dataclass
class Card:
    """Some work on the page."""

    id: str
    html: str
    house_id: str
    state: str = ""
    foot: str = ""
    text: str = ""
    lines: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    inside: list["Card | str"] = field(default_factory=list)
    spent: dict[str, Any] = field(default_factory=lambda: {"tokens": 0, "usd": None})
    is_counted: bool = False  # what it spent was told with its beginning

    def take(self, piece: Piece) -> None:
        if piece.slot == "lines":
            self.lines.append(piece.html)
        elif piece.slot == "fill":
            self.lines = [piece.html]
        elif piece.slot == "parts":
            self.parts.append(piece.raw)
        elif piece.slot in ("state", "foot", "text"):
            setattr(self, piece.slot, piece.html)

    def begin_with(self, spent: Mapping[str, Any]) -> None:
        self.spent, self.is_counted = totals(spent), True

    def spend(self, more: Mapping[str, Any]) -> None:
        if not self.is_counted:
            added = totals(more)
            self.spent["tokens"] += added["tokens"]
            if added["usd"] is not None:
                self.spent["usd"] = (self.spent["usd"] or 0) + added["usd"]

    def __str__(self) -> str:
        html = self.html.replace(OPEN, OPEN.removeprefix(" open"), 1) if self.foot else self.html
        return SLOT.sub(lambda slot: self._in(slot[1] or slot[2], slot[0]), html)

    def _in(self, slot: str, otherwise: str) -> str:
        if slot == "lines":
            return self._output()
        if slot in ("work", "did"):
            return "".join(map(str, self.inside))
        if slot == "calls":
            return called(sum(isinstance(one, Card) for one in self.inside))
        if slot == "parts":
            return self.text or prose("".join(self.parts))
        if slot == "spent":
            return str(get_template("threads/events/_spent.html").render({"spent": self.spent})).strip()
        return getattr(self, slot) or otherwise

    def _output(self) -> str:
        kept: list[str] = []
        size = 0
        for chunk in reversed(self.lines):
            size += len(chunk)
            if kept and size > SHOWN:
                whole = reverse("command", args=[self.house_id, self.id.partition("-")[0]])
                kept.append(
                    format_html(
                        '<a class="cut" data-pane href="{}">Earlier output is left out here: open all of it</a>\n',
                        whole,
                    )
                )
                break
            kept.append(chunk)
        return "".join(reversed(kept))


def called(count: int) -> str:
    """How many tools it called, as the page's script says it too."""
    return f"{count} tool call{'' if count == 1 else 's'}" if count else "What it said"
