"""Events as HTML. One rendering of an event serves every page and every socket of this process."""

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from time import monotonic
from types import SimpleNamespace
from typing import Any

from django.template.loader import get_template
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from houses.markdown import prose
from houses.models import Agent, House
from threads.log.ansi import coloured
from threads.log.slots import key_of, places
from threads.log.told_calls import called_with, totals, written

logger = logging.getLogger(__name__)
KEPT = 4096  # rendered events per process
NAMES_LAST = 60  # seconds that a looked-up name is believed
STOPS = {
    "command_id": "command_stop",
    "run_id": "command_stop",
    "answer_id": "answer_stop",
    "make_id": "make_stop",
}
TEMPLATED = {
    "message", "thread_opened", "thread_renamed", "thread_pinned", "thread_unpinned", "thread_tagged", "thread_closed",
    "thread_reopened", "thread_link_made", "agent_spawn", "command_queued", "command_started", "command_output",
    "command_finished", "sandbox_resumed", "signal.sandbox.created", "artifact_made", "make_planned", "make_finished",
    "run_queued", "run_started", "run_finished", "message_waiting", "message_edited", "message_withdrawn",
    "message_handed_over", "thread_answer_begun", "thread_answer_part", "thread_answer_called", "thread_answer_heard",
    "thread_answer_finished", "pi.assistant", "pi.tool_call", "pi.tool_output", "pi.tool_result", "pi.usage",
    "pi.retry", "pi.line", "signal.thread.status_changed", "signal.thread.child_finished", "signal.thread.pi_failed",
    "signal.thread.pi_session_orphaned", "signal.dispatch.session_started", "signal.dispatch.pi_waiting",
    "signal.dispatch.pi_answered", "signal.dispatch.steer_taken",
}  # fmt: skip
INTO = {"lines", "work", "did", "parts", "waiting"}
# What else the page's script does with a piece, and with the element of which id.
OTHERWISE = {
    "fill": ("fill", "lines-"),
    "text": ("fill", "parts-"),
    "waits": ("fill", "waits-"),
    "gone": ("gone", "waiting-"),
    "take": ("take", "did-"),
    "spent": ("add", "spent-"),
    "lone": ("unless", "card-"),
}
ELSE_LOG = {"work", "did"}  # without their card they stand by themselves


@dataclass(frozen=True)
class Piece:
    """Some HTML and where it goes: at the end of the log, or into a slot of a card."""

    html: str
    slot: str = ""
    card: str = ""
    raw: str = ""  # of what is said in parts: the markdown

    @property
    def live(self) -> str:
        """As the socket sends it: the page's script finds the place."""
        if not self.slot:
            return self.html
        place = "waiting" if self.slot == "waiting" else f"{self.slot}-{self.card}"
        if self.slot in INTO:
            other = " data-else-log" if self.slot in ELSE_LOG else ""
            return f'<div data-into="#{place}"{other}>{self.html}</div>'
        if self.slot in OTHERWISE:
            how, where = OTHERWISE[self.slot]
            return f'<div data-{how}="#{where}{self.card}">{self.html}</div>'
        tag = "footer" if self.slot == "foot" else "span"
        return f'<div data-replace="#{place}"><{tag} class="{self.slot}" id="{place}">{self.html}</{tag}></div>'


def fragment(event: dict[str, Any], house: House | str) -> str:
    """One event, each part of it saying where in the page it goes."""
    return "".join(piece.live for piece in pieces(event, house))


CHILD = re.compile(r"<!--child (\w+)-->")


def with_names(html: str, names: Callable[[set[str]], Mapping[str, str]]) -> str:
    """The HTML with the names of child threads put in, as far as whoever looks at it is told them.

    An event does not carry them, and one rendering of it serves readers of different threads.
    """
    wanted = set(CHILD.findall(html))
    if not wanted:
        return html
    known = names(wanted)
    return CHILD.sub(lambda child: escape(known.get(child[1]) or "A child thread"), html)


_kept: OrderedDict[tuple[str, str], tuple[Piece, ...]] = OrderedDict()
_lock = threading.Lock()


def pieces(event: dict[str, Any], house: House | str) -> tuple[Piece, ...]:
    key = (event["stream_id"], event["seq"])
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    try:
        made = render(event, house if isinstance(house, str) else house.pk)
    except Exception:  # one event that cannot be shown must not take the page with all the others away
        logger.exception("event %s of stream %s cannot be shown", event["seq"], event["stream_id"])
        made = (Piece(format_html('<p class="system">An entry that cannot be shown: {}.</p>', event["type"])),)
    with _lock:
        _kept[key] = made
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made


def render(event: dict[str, Any], house_id: str, *, continues: bool = False) -> tuple[Piece, ...]:
    """The pieces of one event, not kept. `continues` marks a card whose beginning is on an earlier page."""
    shown, kind = Shown(event, house_id, continues), event["type"]
    drawn = kind if kind in TEMPLATED else "signal" if kind.startswith("signal.") else "generic"
    raw = shown.p["text"] if kind == "thread_answer_part" else ""
    return tuple(
        Piece(shown.html(place.template, place.status) if place.template else "", place.slot, place.card, raw)
        for place in places(event, drawn)
    )


@dataclass
class Shown:
    """An event as its partial sees it."""

    event: dict[str, Any]
    house_id: str
    continues: bool = False
    status: str = field(default="", init=False)

    def html(self, template: str, status: str = "") -> SafeString:
        self.status = status
        context = {"event": self, "p": self.p, "status": status or self.first_status}
        html: str = _template(template).render(context).strip()
        return mark_safe(html)  # noqa: S308  # a template escapes what it is given

    @property
    def p(self) -> dict[str, Any]:
        return self.event.get("payload") or {}

    @property
    def seq(self) -> str:
        return str(self.event["seq"])

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.event["ts"])

    @property
    def author(self) -> Any:
        return agent_named(self.event.get("author_agent_id"))

    @property
    def who(self) -> Any:
        """Whose entry it is: a card of a bot's work is the bot's, whoever asked for it."""
        return self.bot if self.event["type"] in ("run_queued", "signal.thread.child_finished") else self.author

    @property
    def address(self) -> str:
        return f"?at={self.seq}#e-{self.seq}"

    @property
    def prose(self) -> SafeString:
        return prose(self.p.get("text", ""))

    @property
    def output(self) -> SafeString:
        return coloured(self.p.get("text", ""), self.p.get("style") or "")

    @property
    def first_status(self) -> str:
        return ("running" if self.p.get("steps") else "completed") if "steps" in self.p else "queued"

    @property
    def words(self) -> SafeString | str:
        return words(self.event["type"], self.p)

    @property
    def stop_url(self) -> str:
        """Where somebody ends what this tells of."""
        if "child_thread_id" in self.p:
            return reverse("thread_stop", args=[self.house_id, self.p["child_thread_id"]])
        where = next(((name, view) for name, view in STOPS.items() if self.p.get(name)), None)
        return reverse(where[1], args=[self.house_id, self.p[where[0]]]) if where else ""

    @property
    def waiting_url(self) -> str:
        return reverse("waiting_message", args=[self.house_id, self.p["message_id"]])

    @property
    def command_url(self) -> str:
        return reverse("command", args=[self.house_id, self.p["command_id"]])

    @property
    def run_url(self) -> str:
        return reverse("run", args=[self.house_id, self.p["run_id"]])

    @property
    def bot(self) -> Any:
        """The bot that it tells of."""
        return agent_named(self.p.get("bot_id"))

    @property
    def on(self) -> Any:
        """Whoever is waited for."""
        return agent_named(self.p.get("on"))

    @property
    def question(self) -> SafeString:
        return prose(self.p.get("question", ""))

    @property
    def summary(self) -> SafeString:
        return prose(self.p.get("summary", ""))

    @property
    def key(self) -> str:
        """The card of a call."""
        return key_of(self.p)

    @property
    def title(self) -> str:
        """What a call does, in a line."""
        return str(self.p.get("title") or called_with(self.p.get("arguments") or {}))

    @property
    def written(self) -> list[tuple[str, str]]:
        return written(self.p.get("arguments") or {})

    @property
    def spent(self) -> dict[str, Any]:
        return totals(self.p.get("spent") or self.p)

    @property
    def child(self) -> SafeString:
        """Where `with_names` puts the name of a child thread."""
        return format_html("<!--child {}-->", self.p["child_thread_id"])

    @property
    def file_url(self) -> str:
        return reverse("file", args=[self.house_id, self.p["repository_id"], self.p["path"]])


@lru_cache(maxsize=64)
def _template(name: str) -> Any:
    return get_template(f"threads/events/{name}.html")


def words(kind: str, payload: dict[str, Any]) -> SafeString:
    """A kind nobody wrote a partial for, as one line."""
    parts = [f"{name} {value}" for name, value in payload.items() if isinstance(value, str | int | float)]
    name = kind.removeprefix("signal.").replace(".", " ").replace("_", " ")
    return format_html("{}{}", name, f" ({', '.join(parts)[:300]})" if parts else "")


_names: dict[str, tuple[float, Any]] = {}
ARBE = SimpleNamespace(id="", name="arbe", kind="system")


def agent_named(agent_id: str | None) -> Any:
    """Who that is. Agents are global, so that no house is opened for a name."""
    if not agent_id:
        return ARBE
    known = _names.get(agent_id)
    if known is None or monotonic() - known[0] > NAMES_LAST:
        agent = Agent.objects.filter(pk=agent_id).only("id", "name", "kind", "email").first()
        shown = SimpleNamespace(id=agent_id, name=str(agent), kind=agent.kind) if agent else ARBE
        known = _names[agent_id] = (monotonic(), shown)
    return known[1]
