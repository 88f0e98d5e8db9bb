"""Where a subscription stands: its links, how far each is acknowledged, and the wake that is under way.

It is changed on a draft, which says what changed; once that is kept, the draft takes its place.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from secrets import token_hex
from typing import Any, NamedTuple

from streams.offsets import START, Offset
from streams.subscriptions.configuration import MOST_LINKS, RESERVED, WEBHOOK, Configuration, No, wrong
from streams.subscriptions.signing import Token

EXPLICIT, GLOB = "explicit", "glob"
LINK = "link "  # before a stream's name, among what is kept
BRIEF = 1000  # links; of more, a wake lists only those with something new
FIRST_PAUSE, LONGEST_PAUSE, JITTER = 1.0, 60.0, 0.2


class Link(NamedTuple):
    """A stream of the subscription: by name, by pattern or by both; acknowledged up to where, None for nothing yet."""

    is_explicit: bool
    is_glob: bool
    acked: Offset | None


@dataclass(frozen=True, slots=True)
class Wake:
    """One round of work: from when there was something new until it is done, released, or its lease has expired."""

    id: str
    trigger: str  # the stream that began it
    tails: dict[str, str]  # how far the streams with something new went then
    is_sent: bool = False
    tries: int = 0  # that failed
    next_try: float = 0.0  # seconds since 1970
    holder: str | None = None
    until: float | None = None  # when the lease expires


class Progress:
    """All of it. `tails` is not part of it: where the streams end, as last heard, None for one that is not there."""

    def __init__(self, name: str, values: dict[str, Any], tails: dict[str, Offset | None]) -> None:
        self.id, self.tails, self.changes = name, tails, dict[str, Any]()
        self.config = Configuration.of(values["config"])
        self.base, self.birth, self.created_at = values["base"], values["birth"], values["created_at"]
        self.generation: int = values.get("generation", 0)
        self.wake = Wake(**values["wake"]) if values.get("wake") else None
        self.links = {
            each.removeprefix(LINK): Link(told[0], told[1], Offset(*told[2]) if told[2] else None)
            for each, told in values.items()
            if each.startswith(LINK)
        }

    def draft(self) -> Progress:
        draft = object.__new__(Progress)
        draft.__dict__.update(self.__dict__)
        draft.links, draft.changes = dict(self.links), {}
        return draft

    def link(self, name: str, kind: str, acked: Offset | None) -> None:
        """One more way to it, if it is linked already; from `acked` on, if not."""
        before = self.links.get(name) or Link(False, False, acked)
        link = before._replace(is_explicit=True) if kind == EXPLICIT else before._replace(is_glob=True)
        if name not in self.links and len(self.links) >= MOST_LINKS:
            raise wrong(f"A subscription has at most {MOST_LINKS} streams.")
        if link != self.links.get(name):
            self._set(name, link)

    def unlink(self, name: str) -> None:
        """Not by its name any more; by the pattern it may still be."""
        link = self.links.get(name)
        if link and link.is_explicit:
            self._set(name, link._replace(is_explicit=False) if link.is_glob else None)

    def lose(self, name: str) -> None:
        """The stream was deleted: what comes under its name is another one, all of it new."""
        link = self.links.get(name)
        if link is None:
            return
        self._set(name, link._replace(is_glob=False, acked=None) if link.is_explicit else None)
        if self.wake and name in self.wake.tails:
            self._set_wake(replace(self.wake, tails={n: tail for n, tail in self.wake.tails.items() if n != name}))

    def pending(self) -> list[str]:
        """The streams that have something beyond what was acknowledged."""
        return [name for name, link in self.links.items() if (self.tails.get(name) or START) > (link.acked or START)]

    def begin(self) -> bool:
        """A wake for everything that is new; whether there is anything."""
        pending = self.pending()
        if pending:
            self.generation += 1
            self.changes["generation"] = self.generation
            tails = {name: str(self.tails.get(name) or START) for name in pending}
            self._set_wake(Wake(f"w_{token_hex(12)}", pending[0], tails))
        return bool(pending)

    def end(self) -> None:
        self._set_wake(None)

    def finish(self) -> None:
        """All that the wake told of is done."""
        for name, tail in self.wake.tails.items() if self.wake else ():
            link, offset = self.links.get(name), Offset.parse(tail)
            if link and offset and offset > (link.acked or START):
                self._set(name, link._replace(acked=offset))
        self.end()

    def sent(self) -> None:
        if self.wake:
            self._set_wake(replace(self.wake, is_sent=True, tries=0, next_try=0.0))

    def hold(self, now: float, holder: str | None = None) -> None:
        """From now on a lease, for whoever has it and whoever gets it."""
        if self.wake:
            holder, until = holder or self.wake.holder, now + self.config.lease / 1000
            self._set_wake(replace(self.wake, is_sent=True, tries=0, next_try=0.0, holder=holder, until=until))

    def fail(self, now: float) -> None:
        """It could not be sent; the next time, twice as long after this one."""
        if self.wake:
            tries = self.wake.tries + 1
            self._set_wake(replace(self.wake, tries=tries, next_try=now + pause(tries)))

    def expire(self, now: float) -> None:
        if self.wake and self.wake.until is not None and self.wake.until <= now:
            self.end()

    def check(self, token: Token, told: dict[str, Any]) -> None:
        """That this is about the wake that is under way."""
        wake, is_now = self.wake, token == Token(self.birth, self.generation)
        generation = told.get("generation")
        if not wake or not is_now or told.get("wake_id") != wake.id or generation != self.generation:
            raise No(409, "FENCED", "This is about a wake that is over.")

    def ack(self, acks: dict[str, Offset]) -> None:
        """Each stream up to an offset, all or none."""
        for name, offset in acks.items():
            link = self.links.get(name)
            if link is None:
                raise No(409, "INVALID_OFFSET", f"{name} is no stream of this subscription.")
            if not (link.acked or START) <= offset <= (self.tails.get(name) or START):
                raise No(409, "INVALID_OFFSET", f"{name} is acknowledged forward, and not beyond its end.")
        for name, offset in acks.items():
            self._set(name, self.links[name]._replace(acked=offset))

    def due(self) -> float | None:
        """When something is to be done without anybody asking, in seconds since 1970."""
        if self.wake is None:
            return None
        return self.wake.until if self.wake.is_sent else self.wake.next_try

    def streams(self, names: list[str] | None = None) -> list[dict[str, Any]]:
        return [
            {
                "path": name,
                "link_type": EXPLICIT if link.is_explicit else GLOB,
                "acked_offset": str(link.acked) if link.acked else "-1",
                "tail_offset": str(self.tails.get(name) or START),
                "has_pending": (self.tails.get(name) or START) > (link.acked or START),
            }
            for name, link in ((name, self.links[name]) for name in (self.links if names is None else names))
        ]

    def news(self) -> list[dict[str, Any]]:
        """The streams as they are told to whoever is to work: all, or of very many those with something new."""
        return self.streams(None if len(self.links) <= BRIEF else self.pending())

    def called(self) -> list[dict[str, Any]]:
        """The same for a webhook, which by saying that it is done acknowledges what the wake told of, and no more."""
        tails = self.wake.tails if self.wake else {}
        return [each | {"tail_offset": tails.get(each["path"], each["tail_offset"])} for each in self.news()]

    def told(self, kid: str) -> dict[str, Any]:
        """As a GET shows it."""
        config = self.config
        found = {
            "id": self.id,
            "subscription_id": self.id,
            "type": config.type,
            "pattern": config.pattern,
            "streams": [
                {name: each[name] for name in ("path", "link_type", "acked_offset")} for each in self.streams()
            ],
            "wake_stream": config.wake_stream,
            "lease_ttl_ms": config.lease,
            "description": config.description,
            "created_at": self.created_at,
            "status": "failed" if self.wake and self.wake.tries else "active",
            "generation": self.generation,
        }
        if config.type == WEBHOOK:
            signing = {"alg": "ed25519", "kid": kid, "jwks_url": f"{self.base}/{RESERVED}/jwks.json"}
            found["webhook"] = {"url": config.url, "signing": signing}
        return {name: value for name, value in found.items() if value is not None}

    def move(self, base: str) -> None:
        """The server is now reached at another address."""
        if base != self.base:
            self.base = self.changes["base"] = base

    def _set(self, name: str, link: Link | None) -> None:
        if link is None:
            del self.links[name]
            self.changes[LINK + name] = None
        else:
            self.links[name] = link
            self.changes[LINK + name] = [link.is_explicit, link.is_glob, link.acked and list(link.acked)]

    def _set_wake(self, wake: Wake | None) -> None:
        self.wake = wake
        self.changes["wake"] = asdict(wake) if wake else None


def pause(tries: int) -> float:
    """Seconds to wait after so many failures: 1, 2, 4 … 60, a fifth more or less so that they do not come together."""
    longest = min(FIRST_PAUSE * 2.0 ** min(tries - 1, 10), LONGEST_PAUSE)
    return longest * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # only to spread them
