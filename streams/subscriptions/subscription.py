"""One subscription at work: it hears of streams that grew, wakes whoever works on them, and tries again.

Whatever happens to it happens one thing after another, and is kept in the store before anybody hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from streams.refusals import Refusal
from streams.storage.log import StreamLog
from streams.storage.store import Store
from streams.subscriptions.configuration import MOST_LINKS, RESERVED, WEBHOOK, No
from streams.subscriptions.mapping import StoredMapping
from streams.subscriptions.progress import EXPLICIT, GLOB, Progress, Wake, pause
from streams.subscriptions.signing import Keys, Token
from streams.subscriptions.webhooks import Answered, Webhooks
from streams.terms import Append

log = logging.getLogger(__name__)
Work = Callable[[Progress, float], None]  # on a draft, at a time


@dataclass(frozen=True, slots=True)
class Means:
    """What every subscription works with."""

    store: Store
    webhooks: Webhooks
    keys: Keys


class Subscription:
    """A subscription, what it has heard and not looked at yet, and its task."""

    def __init__(self, standing: Progress, kept: StoredMapping, means: Means) -> None:
        self.standing, self._kept, self._means = standing, kept, means
        self.expected: set[str] = set()  # streams that are about to be linked
        self._grown: dict[str, StreamLog] = {}
        self._lost: set[str] = set()
        self._lock, self._bell = asyncio.Lock(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_over = self._is_full = False

    @property
    def id(self) -> str:
        return self.standing.id

    def cares(self, name: str) -> bool:
        return name in self.standing.links or name in self.expected or self.standing.config.matches(name)

    def notice(self, stream: StreamLog) -> None:
        """A stream that it cares for grew, came, or went."""
        name, standing = stream.name, self.standing
        if _is_gone(stream):
            self._lost.add(name)
            self._grown.pop(name, None)
            standing.tails.pop(name, None)
            self._bell.set()
            return
        if self._is_full and name not in standing.links:
            return
        standing.tails[name] = stream.tail
        if name not in standing.links or name in self._lost:
            self._grown[name] = stream
            self._bell.set()
        elif standing.wake is None:
            self._bell.set()

    async def link(self, names: Iterable[str], streams: Iterable[StreamLog]) -> None:
        """For the first time: these by name, those by pattern, each from where it ends now; and keep it."""
        found = [await self._means.store.find(name) for name in names]

        def work(draft: Progress, now: float) -> None:
            newest = {stream.name: stream for stream in (*streams, *self._grown.values())}
            for name, stream in newest.items():
                if draft.config.matches(name) and not _is_gone(stream):
                    self._link_at_end(draft, name, GLOB, stream)
            for name, earlier in zip(names, found, strict=True):
                self._link_at_end(draft, name, EXPLICIT, newest.get(name, earlier))
            self._grown.clear()
            self._lost.clear()

        config = self.standing.config.kept()
        first = {"config": config, "birth": self.standing.birth, "created_at": self.standing.created_at}
        await self._kept.remove()  # what is left of one that was half made
        async with self._lock:
            draft = self.standing.draft()
            work(draft, time.time())
            await self._kept.change(first | {"base": draft.base} | draft.changes)
            self.standing = draft

    async def add(self, names: tuple[str, ...]) -> None:
        """By name, from where they end now."""
        found = [await self._means.store.find(name) for name in names]

        def work(draft: Progress, now: float) -> None:
            for name, stream in zip(names, found, strict=True):
                self._link_at_end(draft, name, EXPLICIT, stream)

        await self.change(work)

    async def look(self) -> None:
        """After a start: where the streams end now, and which of them went meanwhile."""
        for name, link in self.standing.links.items():
            stream = await self._means.store.find(name)
            stream = None if stream and _is_gone(stream) else stream
            self.standing.tails[name] = stream.tail if stream else None
            if (stream is None and (link.is_glob or link.acked)) or (
                stream and link.acked and link.acked > stream.tail
            ):
                self._lost.add(name)
                if stream:
                    self._grown[name] = stream

    async def change(self, work: Work) -> Progress:
        """Do something to it, kept when this returns. Raises a refusal, and then nothing of it was done."""
        async with self._lock:
            if self._is_over:
                raise No(404, "SUBSCRIPTION_NOT_FOUND", "There is no such subscription.")
            if self._kept.is_doubtful:
                await self._read_again()
            lost, grown = self._lost, self._grown
            self._lost, self._grown = set(), {}
            draft, now = self.standing.draft(), time.time()
            try:
                self._take_in(draft, lost, grown)
                draft.expire(now)
                if draft.wake is None:
                    draft.begin()
                work(draft, now)
                if draft.wake is None:
                    draft.begin()
                if draft.changes:
                    await self._kept.change(draft.changes)
            except BaseException:
                self._lost, self._grown = lost | self._lost, grown | self._grown
                raise
            else:
                self.standing = draft
                return draft
            finally:
                self._bell.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        self._is_over = True
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def end(self) -> None:
        """For good: nothing of it is kept."""
        await self.stop()
        async with self._lock:
            await self._kept.remove()

    async def _live(self) -> None:
        failures = 0
        while True:
            self._bell.clear()
            try:
                await self._act()
                failures = 0
            except Refusal as refusal:
                failures += 1
                log.warning("Subscription %s waits: %s", self.id, refusal)
            except Exception:
                # It must not end unseen: what it was to tell somebody is still there to be told.
                failures += 1
                log.exception("Subscription %s failed.", self.id)
            if failures:
                await asyncio.sleep(pause(failures))
                continue
            due = self.standing.due()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - time.time())):
                    await self._bell.wait()

    async def _act(self) -> None:
        standing, now = self.standing, time.time()
        wake = standing.wake
        has_expired = wake is not None and wake.until is not None and wake.until <= now
        if self._lost or self._grown or has_expired or (wake is None and standing.pending()):
            standing = await self.change(lambda draft, now: None)
        wake = standing.wake
        if wake and not wake.is_sent and wake.next_try <= now:
            await self._send(standing, wake)

    async def _send(self, standing: Progress, wake: Wake) -> None:
        is_webhook = standing.config.type == WEBHOOK
        answered = await (self._call(standing, wake) if is_webhook else self._announce(standing, wake))
        if not answered.is_taken:
            log.warning("Subscription %s could not wake anybody: %s", self.id, answered.why)

        def settle(draft: Progress, now: float) -> None:
            if draft.wake is None or draft.wake.id != wake.id:
                return  # that one is over, by a callback or a claim that was faster
            if answered.is_done:
                draft.finish()
            elif draft.wake.is_sent:
                return
            elif not answered.is_taken:
                draft.fail(now)
            elif is_webhook:
                draft.hold(now)
            else:
                draft.sent()

        await self.change(settle)

    async def _call(self, standing: Progress, wake: Wake) -> Answered:
        token = Token(standing.birth, standing.generation)
        told = {
            "subscription_id": standing.id,
            "wake_id": wake.id,
            "generation": standing.generation,
            "streams": standing.called(),
            "callback_url": f"{standing.base}/{RESERVED}/subscriptions/{standing.id}/callback",
            "callback_token": self._means.keys.token(standing.id, token),
        }
        body = orjson.dumps(told)
        signed = {"Webhook-Signature": self._means.keys.signature(body, time.time())}
        return await self._means.webhooks.call(standing.config.url or "", body, signed, has_failed=wake.tries > 0)

    async def _announce(self, standing: Progress, wake: Wake) -> Answered:
        stream = await self._means.store.find(standing.config.wake_stream or "")
        if stream is None or not stream.settings.is_json or stream.settings.enveloped:
            return Answered(False, why="There is no wake stream, or it does not hold plain JSON.")
        told = {
            "type": "wake",
            "subscription_id": standing.id,
            "stream": wake.trigger,
            "generation": standing.generation,
            "ts": int(time.time() * 1000),
        }
        try:
            await self._means.store.append(stream, Append([orjson.dumps(told)]))
        except Refusal as refusal:
            return Answered(False, why=str(refusal))
        return Answered(True)

    async def _read_again(self) -> None:
        await self._kept.load()
        if "config" not in self._kept.values:
            raise No(404, "SUBSCRIPTION_NOT_FOUND", "There is no such subscription any more.")
        self.standing = Progress(self.id, self._kept.values, self.standing.tails)

    def _take_in(self, draft: Progress, lost: set[str], grown: dict[str, StreamLog]) -> None:
        for name in lost:
            draft.lose(name)
        for name, stream in grown.items():
            if name in draft.links or _is_gone(stream) or not draft.config.matches(name):
                continue
            try:
                draft.link(name, GLOB, None)
            except Refusal as refusal:
                log.warning("Subscription %s does not follow %s: %s", self.id, name, refusal)
                draft.tails.pop(name, None)
        self._is_full = len(draft.links) >= MOST_LINKS

    def _link_at_end(self, draft: Progress, name: str, kind: str, stream: StreamLog | None) -> None:
        if stream and not _is_gone(stream):
            draft.tails[name] = stream.tail
            draft.link(name, kind, stream.tail)
        else:
            draft.tails.setdefault(name, None)  # it may have come while this was on its way
            draft.link(name, kind, None)


def _is_gone(stream: StreamLog) -> bool:
    return stream.gone or stream.is_soft_deleted
