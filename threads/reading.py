"""A page of a thread's log: events in, entries out, with what belongs to a card laid inside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from houses.agents import Agent
from streams.calls import NoSuchStream
from streams.client import A_PAGES, streams
from threads.commands import QUEUED, RUNNING
from threads.models import Command, Make, Thread
from threads.rendering import Piece, pieces, render, with_names

AT_ONCE = 150  # events of a page
BEGINNINGS = ("command_queued", "make_planned")
SHOWN = 60_000  # characters of HTML of one command's output on a page; the rest is on the command's own


@dataclass
class Card:
    """A command or a make on the page, gathering what the log says of it."""

    id: str
    html: str
    house_id: str
    state: str = ""
    foot: str = ""
    lines: list[str] = field(default_factory=list)
    work: list["Card"] = field(default_factory=list)

    def take(self, piece: Piece) -> None:
        if piece.slot == "lines":
            self.lines.append(piece.html)
        elif piece.slot == "state":
            self.state = piece.html
        elif piece.slot == "foot":
            self.foot = piece.html

    def __str__(self) -> str:
        html = self.html.replace("<!--lines-->", self._output(), 1)
        html = html.replace("<!--work-->", "".join(map(str, self.work)), 1)
        if self.foot:
            html = html.replace("<!--foot-->", self.foot, 1)
        if self.state:
            before, _, rest = html.partition("<!--state-->")
            html = before + self.state + rest.partition("<!--/state-->")[2]
        return html

    def _output(self) -> str:
        kept: list[str] = []
        size = 0
        for chunk in reversed(self.lines):
            size += len(chunk)
            if kept and size > SHOWN:
                whole = reverse("command", args=[self.house_id, self.id])
                kept.append(
                    format_html(
                        '<a class="cut" data-pane href="{}">Earlier output is left out here: open all of it</a>\n',
                        whole,
                    )
                )
                break
            kept.append(chunk)
        return "".join(reversed(kept))


@dataclass(frozen=True)
class Log:
    """Some entries, where to go on backwards from, and the last event they tell of."""

    html: SafeString
    earlier: str | None
    last_seq: str


def around(thread: Thread, at: str | None, reader: Agent) -> Log:
    """The end of the log; or, to look one entry up, what is on both sides of it."""
    try:
        if not at:
            page = streams(A_PAGES).before(thread.house_id, thread.stream_id, "now", AT_ONCE)
            return _log(thread, page.events, page.prev, page.next, reader, with_running=True)
        page = streams(A_PAGES).before(thread.house_id, thread.stream_id, at, AT_ONCE // 2)
        after = streams(A_PAGES).read(thread.house_id, thread.stream_id, at, AT_ONCE // 2)
        return _log(thread, [*page.events, *after.events], page.prev, after.next, reader, with_running=True)
    except NoSuchStream:  # the thread was opened, and that has not been told yet
        return Log(mark_safe(""), None, "-1")


def before(thread: Thread, offset: str, reader: Agent) -> Log:
    """The page before an offset."""
    page = streams(A_PAGES).before(thread.house_id, thread.stream_id, offset, AT_ONCE)
    return _log(thread, page.events, page.prev, page.next, reader)


def _log(
    thread: Thread,
    events: list[dict[str, Any]],
    earlier: str | None,
    upto: str,
    reader: Agent,
    *,
    with_running: bool = False,
) -> Log:
    begun = _begun(thread, events, with_running)
    html = with_names(laid_out(events, thread.house_id, begun), lambda ids: Thread.objects.called(ids, reader))
    return Log(mark_safe(html), earlier, events[-1]["seq"] if events else upto)  # noqa: S308  # names are escaped


def _begun(thread: Thread, events: list[dict[str, Any]], with_running: bool) -> dict[str, dict[str, Any]]:
    """First events, told again from the rows, of cards that began before these events and go on in or after them."""
    here = {card_of(event) for event in events if event["type"] in BEGINNINGS}
    wanted = Q(pk__in=begun_before(events))
    if with_running:
        wanted |= Q(status__in=[QUEUED, RUNNING])
    commands = thread.commands.filter(wanted).exclude(pk__in=here).order_by("created_at")
    makes = thread.makes.filter(wanted).exclude(pk__in=here).order_by("created_at")
    told: list[tuple[Command | Make, str, dict[str, Any]]] = [
        (c, "command_queued", {"command_id": c.pk, "text": c.text}) for c in commands
    ]
    told += [(m, "make_planned", {"make_id": m.pk, "target": m.target, "steps": [{}]}) for m in makes]
    first = events[0]["seq"] if events else ""
    return {
        row.pk: {
            "seq": f"{first}-{row.pk}",
            "stream_id": thread.stream_id,
            "author_agent_id": str(row.agent_id),
            "type": kind,
            "payload": payload,
            "ts": row.created_at.isoformat(),
        }
        for row, kind, payload in told
    }


def laid_out(
    events: Iterable[dict[str, Any]], house_id: str, begun: Mapping[str, dict[str, Any]] | None = None
) -> SafeString:
    """The entries of a page. `begun` are the first events of cards that began on an earlier page."""
    cards: dict[str, Card] = {}
    entries: list[str | Card] = []
    for event in [*(begun or {}).values(), *events]:
        first = (begun or {}).get(card_of(event))
        made = render(event, house_id, continues=True) if first is event else pieces(event, house_id)
        for piece in made:
            _lay(piece, event, house_id, cards, entries)
    return mark_safe("\n".join(map(str, entries)))  # noqa: S308  # pieces come from templates


def _lay(piece: Piece, event: dict[str, Any], house_id: str, cards: dict[str, Card], entries: list[str | Card]) -> None:
    if piece.slot in ("lines", "state", "foot"):
        if piece.card in cards:
            cards[piece.card].take(piece)
        return
    if event["type"] not in BEGINNINGS:
        entries.append(piece.html)
        return
    card = cards[card_of(event)] = Card(card_of(event), piece.html, house_id)
    if piece.slot == "work" and piece.card in cards:
        cards[piece.card].work.append(card)
    else:
        entries.append(card)


def card_of(event: dict[str, Any]) -> str:
    """The id of the card an event belongs to, or nothing. A make's steps are cards inside it."""
    kind, payload = event["type"], event.get("payload") or {}
    if kind.startswith("command_"):
        return str(payload.get("command_id", ""))
    return str(payload.get("make_id", "")) if kind in ("make_planned", "make_finished") else ""


def begun_before(events: Iterable[dict[str, Any]]) -> set[str]:
    """The cards these events go on with, but do not begin."""
    seen: set[str] = set()
    missing: set[str] = set()
    for event in events:
        card = card_of(event)
        if event["type"] in BEGINNINGS:
            seen.add(card)
        elif card and card not in seen:
            missing.add(card)
    return missing
