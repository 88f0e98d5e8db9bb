"""How small things look wherever they stand: icons, times, sizes, states, faces."""

import re
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.db.models import Func
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from houses.membership import houses_of
from houses.rights import right
from houses.scopes import R, X
from threads.models import InboxEntry, Thread
from threads.pages.threads import BUSY, waited_for_by

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons.svg"), name)


@register.filter
def when(at: datetime | float | str | None) -> SafeString | str:
    """A time element; time.js turns its text into how long ago."""
    moment = as_moment(at)
    if moment is None:
        return ""
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), moment.strftime("%-d %b %H:%M"))


@register.filter
def until(at: datetime | float | str | None) -> str:
    """A moment to come, to the minute: what is left of it would be old by the time that somebody reads it."""
    moment = as_moment(at)
    return f"{moment.astimezone(UTC):%-d %B %Y, %H:%M} UTC" if moment else ""


@register.filter
def iso(at: datetime | float | str | None) -> str:
    moment = as_moment(at)
    return moment.isoformat() if moment else ""


def as_moment(at: datetime | float | str | None) -> datetime | None:
    if not at:
        return None
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if isinstance(at, int | float):
        at = datetime.fromtimestamp(at, UTC)
    return at


@register.filter
def browser(user_agent: str) -> str:
    """What somebody would call it: the first names that fit."""
    programs = ("Edg", "OPR", "Firefox", "Chrome", "Safari")  # each of them says it is the later ones, too
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")
    program = next((name for name in programs if name in user_agent), user_agent.partition("/")[0] or "A program")
    system = next((name for name in systems if name in user_agent), "")
    named = {"Edg": "Edge", "OPR": "Opera"}.get(program, program)
    return f"{named} on {system}" if system else named


@register.filter
def size(count: int | None) -> str:
    amount = float(count or 0)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


@register.filter
def lasting(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@register.filter
def counted(number: int | None) -> str:
    """Of tokens, say: exact while it is short."""
    amount = float(number or 0)
    for unit in ("", " k", " M"):
        if amount < 10_000 or unit == " M":
            return f"{amount:,.0f}{unit}" if not unit or amount >= 100 else f"{amount:.1f}{unit}"
        amount /= 1000
    return ""


@register.filter
def dollars(usd: Decimal | float | None) -> str:
    if usd is None:
        return ""
    amount = Decimal(usd)
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


@register.filter
def short(oid: str | None) -> str:
    return (oid or "")[:7]


@register.filter
def codes(sentence: object) -> SafeString:
    """A sentence in which `names` stand between backticks, as refusals and reasons are written."""
    parts = str(sentence or "").split("`")
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", p) if n % 2 else p,) for n, p in enumerate(parts))
    )


@register.filter
def plainly(markdown: str | None) -> str:
    """Some markdown as one line of text, as a list says it."""
    return " ".join(re.sub(r"`+|\*\*|^#+ |^> ", "", markdown or "", flags=re.MULTILINE).split())


@register.simple_tag
def mark(state: str, word: str = "") -> SafeString:
    return format_html('<span class="mark {}">{}</span>', state, word or state)


@register.simple_tag
def face(agent: Any, extra: str = "") -> SafeString:
    """People are round and bots are square; the tint follows the id, so it never changes."""
    name = getattr(agent, "name", None) or "arbe"
    tint = zlib.crc32(str(getattr(agent, "id", "")).encode()) % 6
    kind = getattr(agent, "kind", "system")
    return format_html('<span class="face {} w{} {}" aria-hidden="true">{}</span>', kind, tint, extra, initials(name))


def initials(name: str) -> str:
    words = name.split()
    return (words[0][:1] + words[-1][:1] if len(words) > 1 else name[:2]).upper() if words else "?"


@register.filter
def titled(thread: Any) -> str:
    return str(thread.name or "Untitled thread")


@register.simple_tag(takes_context=True)
def manages(context: Any) -> bool:
    """Whether whoever looks manages the house of the page."""
    return X in right(context["request"].user, context["house"]).bits


@register.inclusion_tag("parts/sidebar.html", takes_context=True)
def sidebar(context: Any) -> dict[str, Any]:
    """The places of the house that are there for whoever looks: pinned threads, recent ones, tags.

    Reads `house` from the page.
    """
    shown = context.flatten()
    user = shown["request"].user
    readable, bits = Thread.objects.readable_by(user), right(user, shown["house"]).bits
    threads = readable.annotate(is_busy=BUSY, **waited_for_by(user))
    # Children stand under their parents, which a guest of one may not see.
    recent = threads.recent() if R in bits else threads.order_by("-updated_at")
    each = Func("tags", function="unnest")
    return {
        **shown,
        "user": user,
        "bits": bits,
        "houses": houses_of(user),
        "unread": InboxEntry.objects.filter(agent=user, thread__in=readable.values("pk")).unread()[:99].count(),
        "pinned": list(threads.pinned()[:20]),
        "recent": list(recent.filter(pinned_at=None)[:12]),
        "tags": sorted(set(readable.exclude(tags=[]).values_list(each, flat=True)[:500]))[:24],
    }
