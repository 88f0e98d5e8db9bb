"""A page of a thread's log: events in, entries out, with what belongs to a card laid inside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from houses.agents import Agent
from streams.calls import NoSuchStream
from streams.client import A_PAGES, streams
from threads.log.beginnings import begun_earlier, told_waiting
from threads.log.cards import GATHERED, Card
from threads.log.rendering import Piece, pieces, render, with_names
from threads.log.slots import begins, card_of
from threads.models import Thread

AT_ONCE = 150  # events of a page


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
    html = laid_out_for(thread, events, reader, with_running=with_running)
    return Log(html, earlier, events[-1]["seq"] if events else upto)


def laid_out_for(
    thread: Thread, events: list[dict[str, Any]], reader: Agent, *, with_running: bool = False
) -> SafeString:
    """Some entries of a thread, with the names that this reader knows."""
    begun = begun_earlier(thread, events, with_running=with_running)
    html = with_names(laid_out(events, thread.house_id, begun), lambda ids: Thread.objects.called(ids, reader))
    return mark_safe(html)  # noqa: S308  # names are escaped


def waiting_in(thread: Thread) -> SafeString:
    """What was said to the bot that drives the thread and has not reached it, as the log would bring it."""
    made = [render(told_waiting(one), thread.house_id)[0].html for one in thread.waiting.still_waiting()[:50]]
    return mark_safe("".join(made))  # noqa: S308  # pieces come from templates


def laid_out(
    events: Iterable[dict[str, Any]], house_id: str, begun: Mapping[str, dict[str, Any]] | None = None
) -> SafeString:
    """The entries of a page. `begun` are the first events of cards that began on an earlier page."""
    page = Sheet(house_id)
    for event in [*(begun or {}).values(), *events]:
        first = (begun or {}).get(card_of(event))
        made = render(event, house_id, continues=True) if first is event else pieces(event, house_id)
        for piece in made:
            page.lay(piece, event)
    return mark_safe("\n".join(map(str, page.entries)))  # noqa: S308  # pieces come from templates


@dataclass
class Sheet:
    """A page that is being laid out."""

    house_id: str
    entries: list[str | Card] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)  # by whom: the entry of what they said last

    def lay(self, piece: Piece, event: dict[str, Any]) -> None:
        card = self.cards.get(piece.card)
        if piece.slot in GATHERED:
            if card:
                card.take(piece)
        elif piece.slot == "spent":
            if card:
                card.spend(event["payload"])
        elif piece.slot == "take":
            self._take(card, str(event.get("author_agent_id")))
        elif piece.slot in ("", "work", "did") or (piece.slot == "lone" and not card):
            self._put(piece.html, event, (card.inside if card else None) if piece.slot != "lone" else None)

    def _put(self, html: str, event: dict[str, Any], into: list[Card | str] | None) -> None:
        entry: str | Card = html
        if key := begins(event):
            entry = self.cards[key] = Card(key, html, self.house_id)
            if spent := event["payload"].get("spent"):
                self.cards[key].begin_with(spent)
        elif event["type"] == "message":
            self.said[str(event.get("author_agent_id"))] = html
        (self.entries if into is None else into).append(entry)

    def _take(self, card: Card | None, author: str) -> None:
        """What somebody said to a run at work stands where it was said."""
        entry = self.said.pop(author, None)
        if card and entry in self.entries:
            self.entries.remove(entry)
            card.inside.append(entry)
