"""Events as they go to live pages: rendered once, and encoded once for each set of names that they are shown with."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import orjson
from channels.db import database_sync_to_async

from houses.agents import Agent
from houses.rights import held
from houses.scopes import R
from houses.tenancy import inside
from streams.bearers import bearers
from streams.client import Page
from threads.log.rendering import CHILD, fragment, with_names
from threads.models import Thread

NAMES_HOLD = 1.0  # seconds for which somebody is shown the names that they might know when it was asked
Names = Mapping[str, str]


class Frame:
    """Some events that follow each other, with places for the names of threads that not everybody may know."""

    def __init__(self, house_id: str, events: list[dict[str, str]], *, is_last: bool) -> None:
        self.end = events[-1]["seq"]
        self.is_last = is_last  # of what there was when it was read
        self.size = sum(len(event["html"]) for event in events)
        self._house_id = house_id
        self._wanted = {name for event in events for name in CHILD.findall(event["html"])}
        self._events = events if self._wanted else []
        self._plain = "" if self._wanted else _encoded(events)
        self._texts: dict[str, str] = {}
        self._asking = asyncio.Lock()

    @classmethod
    async def of(cls, house_id: str, page: Page) -> "Frame":
        return cls(house_id, await _rendered(page.events, house_id), is_last=page.up_to_date)

    async def text_for(self, credential: str, everybody: Callable[[], Iterable[str]]) -> str:
        """The frame for whoever came in with that. Where it holds names, `everybody` who will ask is asked about too.

        A run's token may know fewer names than the agent it speaks for, so credentials are asked about, not agents.
        """
        if self._plain:
            return self._plain
        async with self._asking:
            if credential not in self._texts:
                self._texts = await self._with_names({credential, *everybody()})
                asyncio.get_running_loop().call_later(NAMES_HOLD, self._texts.clear)
            return self._texts[credential]

    async def _with_names(self, credentials: set[str]) -> dict[str, str]:
        known = await _known_to(credentials, self._wanted, self._house_id)
        texts: dict[frozenset[tuple[str, str]], str] = {}
        for names in known.values():
            key = frozenset(names.items())
            if key not in texts:
                texts[key] = _encoded([event | {"html": _named(event["html"], names)} for event in self._events])
        return {credential: texts[frozenset(names.items())] for credential, names in known.items()}


class Recent:
    """Frames that were read lately, by where they begin; the oldest go when together they have too many characters."""

    def __init__(self, most: int) -> None:
        self._most, self.size = most, 0
        self._frames: OrderedDict[tuple[str, str], Frame] = OrderedDict()

    def find(self, stream_id: str, start: str) -> Frame | None:
        return self._frames.get((stream_id, start))

    def keep(self, stream_id: str, start: str, frame: Frame) -> None:
        if (stream_id, start) in self._frames or frame.size > self._most // 2:
            return
        self._frames[stream_id, start] = frame
        self.size += frame.size
        while self.size > self._most:
            self.size -= self._frames.popitem(last=False)[1].size


def _named(html: str, names: Names) -> str:
    return with_names(html, lambda _: names)


def _encoded(events: list[dict[str, str]]) -> str:
    return orjson.dumps({"events": events}).decode()


@partial(database_sync_to_async, thread_sensitive=False)
def _rendered(events: list[dict[str, Any]], house_id: str) -> list[dict[str, str]]:
    return [{"seq": event["seq"], "type": event["type"], "html": fragment(event, house_id)} for event in events]


@partial(database_sync_to_async, thread_sensitive=False)
def _known_to(credentials: set[str], wanted: set[str], house_id: str) -> dict[str, Names]:
    """The names of those of these threads that may be read with each of these credentials; none if it holds no more."""
    agents = bearers(house_id, credentials)
    with inside(house_id):
        names = dict(Thread.objects.filter(pk__in=wanted).exclude(name=None).values_list("pk", "name"))
        scopes = [Thread(pk=thread_id, house_id=house_id) for thread_id in names]
        # One question for all, and one for each run.
        found = held({agent.pk: Agent(pk=agent.pk) for agent in agents.values() if not agent.within}.values(), scopes)
        runs = {credential: held([agent], scopes) for credential, agent in agents.items() if agent.within}
    return {
        credential: {
            pk: name or ""
            for pk, name in names.items()
            if R in runs.get(credential, found)[agents[credential].pk, pk].bits
        }
        if credential in agents
        else {}
        for credential in credentials
    }
