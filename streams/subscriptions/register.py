"""All subscriptions of a store: read back when the server starts, told of each stream that grew, made and ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from streams.refusals import Refusal
from streams.storage.log import StreamLog
from streams.storage.store import Store
from streams.subscriptions.configuration import RESERVED, Configuration, No, is_reserved, wrong
from streams.subscriptions.mapping import StoredMapping
from streams.subscriptions.progress import Progress, pause
from streams.subscriptions.signing import Keys
from streams.subscriptions.subscription import Means, Subscription
from streams.subscriptions.webhooks import Webhooks

log = logging.getLogger(__name__)
MOST = 1000  # subscriptions
ELSEWHERE = "Subscriptions are served where one machine alone has the streams; several are not supported yet."
REMEMBERED = 50_000  # names of streams, and who cares for them


class Register:
    """Knows them by id. Nothing may be asked before `ready`.

    Of a store that several machines share nothing is read: each of them would wake everybody.
    """

    def __init__(self, store: Store, webhooks: Webhooks, base: str | None = None) -> None:
        self._store, self._webhooks, self._base = store, webhooks, base
        self.all: dict[str, Subscription] = {}
        self._hearing: set[Subscription] = set()  # those, and those that are being made
        self._who_cares: dict[str, list[Subscription]] = {}
        self._catalogue = StoredMapping(store, f"{RESERVED}/catalogue")
        self._kept_keys = StoredMapping(store, f"{RESERVED}/keys")
        self._keys: Keys | None = None
        self._making = asyncio.Lock()
        self._early: dict[StreamLog, None] | None = {}  # what grew before everything was read
        self._loading: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        if not store.is_shared:
            self._starting = asyncio.create_task(self._start())
            store.listeners.append(self.on_commit)

    async def ready(self) -> None:
        """Raises a refusal while the store cannot be read; it is tried again, by whoever asks next or by itself."""
        if self._store.is_shared:
            raise Refusal(501, "subscriptions_elsewhere", ELSEWHERE)
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.create_task(self._load())
        await asyncio.shield(self._loading)

    def on_commit(self, stream: StreamLog) -> None:
        if self._early is not None:
            self._early[stream] = None
        elif self._hearing and not is_reserved(stream.name):
            for subscriber in self._caring(stream.name):
                subscriber.notice(stream)

    async def keys(self) -> Keys:
        """Those of this server, made when they are first asked for."""
        if self._keys:
            return self._keys
        async with self._making:
            return await self._own_keys()

    async def make(self, name: str, config: Configuration, base: str) -> tuple[Subscription, bool]:
        """It, and whether it is new. Raises a refusal."""
        there, is_new = self.all.get(name), False
        if there is None:
            there, is_new = await self._make(name, config, base)
        if is_new:
            return there, True
        if there.standing.config != config:
            raise No(409, "SUBSCRIPTION_ALREADY_EXISTS", "A subscription of this name is there, and is another one.")
        if there.standing.base != base:
            await there.change(lambda draft, now: draft.move(base))
        return there, False

    async def end(self, name: str) -> None:
        """Whether or not it is there."""
        async with self._making:
            subscriber = self.all.get(name)
            if subscriber:
                await _change(self._catalogue, {name: None})
                del self.all[name]
                self._forget(subscriber)
                await subscriber.end()

    async def add(self, subscriber: Subscription, names: tuple[str, ...]) -> None:
        """Follow these by name, too."""
        self._expect(subscriber, names)
        try:
            await subscriber.add(names)
        finally:
            subscriber.expected.difference_update(names)
            self._who_cares.clear()

    async def remove(self, subscriber: Subscription, name: str) -> None:
        """Do not follow this by its name any more."""
        standing = await subscriber.change(lambda draft, now: draft.unlink(name))
        if name not in standing.links:
            standing.tails.pop(name, None)
        self._who_cares.clear()

    async def close(self) -> None:
        for task in (self._starting, self._loading):
            if task:
                task.cancel()
        await asyncio.gather(*(subscriber.stop() for subscriber in self.all.values()))
        await self._webhooks.close()

    def _caring(self, name: str) -> list[Subscription]:
        found = self._who_cares.get(name)
        if found is None:
            if len(self._who_cares) >= REMEMBERED:
                self._who_cares.clear()
            found = [subscriber for subscriber in self._hearing if subscriber.cares(name)]
            self._who_cares[name] = found
        return found

    def _expect(self, subscriber: Subscription, names: tuple[str, ...]) -> None:
        subscriber.expected.update(names)
        self._hearing.add(subscriber)
        self._who_cares.clear()

    def _forget(self, subscriber: Subscription) -> None:
        self._hearing.discard(subscriber)
        self._who_cares.clear()

    async def _make(self, name: str, config: Configuration, base: str) -> tuple[Subscription, bool]:
        """A new one; or that of somebody who was faster, and False."""
        await self._check_wake_stream(config)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {"config": config.kept(), "base": base, "birth": token_hex(6), "created_at": now}
        means = Means(self._store, self._webhooks, await self.keys())
        subscriber = Subscription(Progress(name, values, {}), self._kept(name), means)
        # From here on it hears of everything, so nothing falls between what is there and what comes.
        self._expect(subscriber, config.streams)
        try:
            found = await self._matching(config)  # can take long, so nobody else waits for it
            async with self._making:
                there = self.all.get(name) or await self._enter(subscriber, found)
        except BaseException:
            self._forget(subscriber)
            raise
        if there is not subscriber:
            self._forget(subscriber)
        return there, there is subscriber

    async def _enter(self, subscriber: Subscription, found: list[StreamLog]) -> Subscription:
        if len(self.all) >= MOST:
            raise No(
                429, "TOO_MANY_SUBSCRIPTIONS", f"There are {MOST} subscriptions, which is as many as there may be."
            )
        await subscriber.link(subscriber.standing.config.streams, found)
        await _change(self._catalogue, {subscriber.id: True})
        subscriber.expected.clear()
        self.all[subscriber.id] = subscriber
        self._who_cares.clear()
        subscriber.start()
        return subscriber

    async def _matching(self, config: Configuration) -> list[StreamLog]:
        there = await self._store.names() if config.pattern else []
        found = [await self._find(each) for each in there if config.matches(each) and not is_reserved(each)]
        return [stream for stream in found if stream]

    async def _check_wake_stream(self, config: Configuration) -> None:
        stream = await self._store.find(config.wake_stream) if config.wake_stream else None
        if stream and (not stream.settings.is_json or stream.settings.enveloped):
            raise wrong("The wake_stream holds plain JSON.")

    async def _own_keys(self) -> Keys:
        if self._keys is None:
            if self._kept_keys.is_doubtful:
                await self._kept_keys.load()
            if "ed25519" not in self._kept_keys.values:
                await self._kept_keys.change(Keys.new())
            self._keys = Keys(self._kept_keys.values)
        return self._keys

    async def _start(self) -> None:
        """Whatever goes wrong, it is tried again: what grew meanwhile is not forgotten."""
        tries = 0
        for work in (self.ready, self._catch_up):
            while not await _is_done(work):
                tries += 1
                await asyncio.sleep(pause(tries))

    async def _load(self) -> None:
        await self._store.ready()
        found = await self._read()
        early, self._early = self._early or {}, None
        self.all, self._hearing = found, set(found.values())
        for stream in early:
            self.on_commit(stream)
        for subscriber in self.all.values():
            subscriber.standing.base = self._base or subscriber.standing.base
            subscriber.start()

    async def _read(self) -> dict[str, Subscription]:
        await self._kept_keys.load()
        await self._catalogue.load()
        means = Means(self._store, self._webhooks, await self._own_keys())
        found = {}
        for name in [name for name in self._catalogue.values if name]:
            kept = self._kept(name)
            await kept.load()
            if "config" not in kept.values:
                log.error("Subscription %s cannot be read; it is not served.", name)
                continue
            found[name] = Subscription(Progress(name, kept.values, {}), kept, means)
            await found[name].look()
        return found

    async def _catch_up(self) -> None:
        """Link what came just before the server ended, and was not kept any more."""
        matching = [subscriber for subscriber in self.all.values() if subscriber.standing.config.pattern]
        for name in await self._store.names() if matching else []:
            new = [s for s in matching if name not in s.standing.links and s.cares(name) and not is_reserved(name)]
            stream = await self._find(name) if new else None
            if stream:
                for subscriber in new:
                    subscriber.notice(stream)

    async def _find(self, name: str) -> StreamLog | None:
        try:
            return await self._store.find(name)
        except Refusal as refusal:
            log.error("%s cannot be read, and nobody is woken for it: %s", name, refusal)
            return None

    def _kept(self, name: str) -> StoredMapping:
        return StoredMapping(self._store, f"{RESERVED}/subscriptions/{name}")


async def _is_done(work: Callable[[], Awaitable[None]]) -> bool:
    try:
        await work()
    except Refusal as refusal:
        log.error("Subscriptions cannot be read, which is tried again: %s", refusal)
    except Exception:
        # It must not end unseen: nobody would be woken, and nobody would know why.
        log.exception("Subscriptions cannot be read, which is tried again.")
    else:
        return True
    return False


async def _change(kept: StoredMapping, changes: dict[str, Any]) -> None:
    if kept.is_doubtful:
        await kept.load()
    await kept.change(changes)
