"""Which raw streams a house has: rows in Postgres beside logs in the store, one change of a house at a time.

A row comes before its log and goes after it. Should the process die in between there is a row without a log, which
is empty, counts, and is mended by the next PUT or DELETE of that name.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from channels.db import database_sync_to_async

from houses.agents import Agent
from houses.scopes import X
from houses.tenancy import inside
from streams.models import RawStream, TooManyStreams
from streams.raw import require_harmless
from streams.refusals import NoStream, Refusal
from streams.wire import Caller

T = TypeVar("T")
IsThere = Callable[[str], Awaitable[bool]]


class Bits(Protocol):
    """Who knows what a caller may do, which is the door."""

    async def bits(self, caller: Caller) -> str:
        """Some of `rwx`."""
        ...


class Owning:
    """Makes and ends the raw streams of houses, for agents that the door has let in with w."""

    def __init__(self, door: Bits) -> None:
        self._door = door
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, caller: Caller, content_type: str, make: Callable[[], Awaitable[T]], is_there: IsThere) -> T:
        """What `make` answers, which makes the log; a row is there before. `is_there` says whether one has a log."""
        require_harmless(content_type)
        async with self._turn(caller.house_id):
            if not await is_there(f"{caller.house_id}/{caller.stream}"):
                # One that ended by itself was somebody's; whoever makes it anew owns it.
                await _forget(caller, [caller.stream])
            is_new = await self._begin(caller, content_type, is_there)
            try:
                return await make()
            except Refusal:
                if is_new:
                    await _forget(caller, [caller.stream])
                raise

    async def delete(self, caller: Caller, unmake: Callable[[], Awaitable[None]]) -> None:
        """End one: for who made it, and for who manages the house."""
        async with self._turn(caller.house_id):
            if X not in await self._door.bits(caller):
                await _require_own(caller)
            try:
                await unmake()
            except NoStream:
                await _forget(caller, [caller.stream])
                raise
            await _forget(caller, [caller.stream])

    def _turn(self, house: str) -> asyncio.Lock:
        return self._turns.setdefault(house, asyncio.Lock())

    async def _begin(self, caller: Caller, content_type: str, is_there: IsThere) -> bool:
        try:
            return await _begun(caller, content_type)
        except Refusal:
            # Logs may end by themselves, when their time is over.
            ended = [name for name in await _names(caller) if not await is_there(f"{caller.house_id}/{name}")]
            if not ended:
                raise
        await _forget(caller, ended)
        return await _begun(caller, content_type)


@partial(database_sync_to_async, thread_sensitive=False)
def _begun(caller: Caller, content_type: str) -> bool:
    try:
        with inside(caller.house_id, str(caller.agent_id)):
            return RawStream.objects.begin(caller.stream, content_type, by=Agent(pk=caller.agent_id))
    except TooManyStreams as full:
        raise Refusal(full.status, full.code, full.detail) from full


@partial(database_sync_to_async, thread_sensitive=False)
def _require_own(caller: Caller) -> None:
    with inside(caller.house_id, str(caller.agent_id)):
        row = RawStream.objects.filter(name=caller.stream).first()
    if row is None:
        raise NoStream("There is no such stream.")
    if str(row.created_by_id) != caller.agent_id:
        raise Refusal(403, "forbidden", "A raw stream is deleted by who made it, or by somebody with x on the house.")


@partial(database_sync_to_async, thread_sensitive=False)
def _names(caller: Caller) -> list[str]:
    with inside(caller.house_id, str(caller.agent_id)):
        return list(RawStream.objects.values_list("name", flat=True))


@partial(database_sync_to_async, thread_sensitive=False)
def _forget(caller: Caller, names: list[str]) -> None:
    with inside(caller.house_id, str(caller.agent_id)):
        RawStream.objects.filter(name__in=names).delete()
