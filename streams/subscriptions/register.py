"""All subscriptions of a store: read back when the server starts, told of each stream that grew, made and ended."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from streams.refusals import Refusal
from streams.storage.log import StreamLog
from streams.storage.store import Store
from streams.subscriptions.configuration import RESERVED, Configuration, No, is_reserved, wrong
from streams.subscriptions.mapping import StoredMapping
from streams.subscriptions.progress import Progress
from streams.subscriptions.signing import Keys
from streams.subscriptions.subscription import Means, Subscription
from streams.subscriptions.webhooks import Webhooks

log = logging.getLogger(__name__)
MOST = 1000  # subscriptions
REMEMBERED = 50_000  # names of streams, and who cares for them


class Register:
    """Knows them by id. Nothing may be asked before `ready`."""

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
        self._catching_up: asyncio.Task[None] | None = None
        self._loading = asyncio.create_task(self._load())
        store.listeners.append(self.on_commit)

    async def ready(self) -> None:
        """Raises a refusal while the store cannot be read; whoever asks next tries again."""
        if self._loading.done() and self._loading.exception():
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
        async with self._making:
            there = self.all.get(name)
            if there is None:
                return await self._make(name, config, base), True
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
        for task in (self._loading, self._catching_up):
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

    async def _make(self, name: str, config: Configuration, base: str) -> Subscription:
        if len(self.all) >= MOST:
            raise No(
                429, "TOO_MANY_SUBSCRIPTIONS", f"There are {MOST} subscriptions, which is as many as there may be."
            )
        await self._check_wake_stream(config)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {"config": config.kept(), "base": base, "birth": token_hex(6), "created_at": now}
        kept = self._kept(name)
        subscriber = Subscription(Progress(name, values, {}), kept, await self._means())
        # From here on it hears of everything, so nothing falls between what is there and what comes.
        self._expect(subscriber, config.streams)
        try:
            there = await self._store.names() if config.pattern else []
            found = [await self._find(each) for each in there if config.matches(each) and not is_reserved(each)]
            await subscriber.link(config.streams, [stream for stream in found if stream])
            await _change(self._catalogue, {name: True})
        except BaseException:
            self._forget(subscriber)
            raise
        subscriber.expected.clear()
        self.all[name] = subscriber
        self._who_cares.clear()
        subscriber.start()
        return subscriber

    async def _check_wake_stream(self, config: Configuration) -> None:
        stream = await self._store.find(config.wake_stream) if config.wake_stream else None
        if stream and (not stream.settings.is_json or stream.settings.enveloped):
            raise wrong("The wake_stream holds plain JSON.")

    async def _means(self) -> Means:
        return Means(self._store, self._webhooks, await self._own_keys())

    async def _own_keys(self) -> Keys:
        if self._keys is None:
            if self._kept_keys.is_doubtful:
                await self._kept_keys.load()
            if "ed25519" not in self._kept_keys.values:
                await self._kept_keys.change(Keys.new())
            self._keys = Keys(self._kept_keys.values)
        return self._keys

    async def _load(self) -> None:
        try:
            found = await self._read()
        except Refusal as refusal:
            log.error("Subscriptions cannot be read: %s", refusal)
            raise
        finally:
            early, self._early = self._early or {}, None
        self.all, self._hearing = found, set(found.values())
        for stream in early:
            self.on_commit(stream)
        for subscriber in self.all.values():
            subscriber.standing.base = self._base or subscriber.standing.base
            subscriber.start()
        self._catching_up = asyncio.create_task(self._catch_up())

    async def _read(self) -> dict[str, Subscription]:
        await self._kept_keys.load()
        await self._catalogue.load()
        found = {}
        for name in [name for name in self._catalogue.values if name]:
            kept = self._kept(name)
            await kept.load()
            if "config" not in kept.values:
                log.error("Subscription %s cannot be read; it is not served.", name)
                continue
            found[name] = Subscription(Progress(name, kept.values, {}), kept, await self._means())
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


async def _change(kept: StoredMapping, changes: dict[str, Any]) -> None:
    if kept.is_doubtful:
        await kept.load()
    await kept.change(changes)
