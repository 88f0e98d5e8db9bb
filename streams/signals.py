"""Signals: what the system saw itself doing in a house, as events of a stream of its own.

A signal says how long, how often, how much and how it ended; never what was said, run or written. It always has an
agent: the one whose action it is. It is told after the commit of what it tells of, so that a refusal leaves none and
work does not wait for it; should the process die in that moment, a figure is lost and no work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from houses.agents import Agent
from houses.places import House
from houses.tenancy import inside, need_not_last
from streams.calls import NoSuchStream
from streams.client import A_PAGES, streams
from streams.events import Event
from streams.outbox import announce, open_stream

MOST, AT_ONCE = 2000, 500  # events that a page reads, and in one go


@dataclass(frozen=True, kw_only=True)
class CommandWitnessed(Event, kind="signal.command"):
    """A command rested. Seconds from asking to the start (`queue`, `sandbox`, `tree`) and to the first output.

    `attempts` are the workers that followed it; `machine` is where it ran and why (live, made, resumed, apart).
    It used seconds, processor seconds, bytes of memory at the peak of the largest process, and bytes of output.
    """

    command_id: str
    thread_id: str
    make_id: str | None
    status: str
    queue: float | None
    sandbox: float | None
    tree: float | None
    first_output: float | None
    attempts: int
    machine: str
    seconds: float
    cpu_seconds: float | None
    memory_bytes: int | None
    output_bytes: int
    redactions: int


@dataclass(frozen=True, kw_only=True)
class MakeWitnessed(Event, kind="signal.make"):
    """A make rested: how long it took, how many of its steps ran, and how many turned out to be needless."""

    make_id: str
    thread_id: str
    status: str
    seconds: float
    ran: int
    spared: int


@dataclass(frozen=True, kw_only=True)
class FailureWitnessed(Event, kind="signal.failure"):
    """Machinery failed: `part` (sandbox, stream, worker) at work on a command; `again` if it is tried again."""

    part: str
    command_id: str
    thread_id: str
    again: bool


@dataclass
class Signals:
    """The stream of a house's signals, which is opened with the first."""

    house_id: str
    stream_id: str


def witness(house_id: str, signal: Event, *, by: Agent) -> None:
    """Tell a signal, once the transaction that we are in, if any, has committed."""
    transaction.on_commit(partial(_tell, house_id, signal, by), robust=True)


def _tell(house_id: str, signal: Event, by: Agent) -> None:
    with inside(house_id, by):
        need_not_last()
        announce(signals_of(house_id), signal, by=by, waits=False)


def signals_of(house_id: str) -> Signals:
    """The house's signals, from inside."""
    houses = House.objects.filter(pk=house_id)
    stream_id = houses.values_list("signals_stream_id", flat=True).get()
    if stream_id is None:
        # Whoever comes second finds the stream of the first, after waiting for it.
        house = houses.select_for_update(no_key=True).get()
        stream_id = house.signals_stream_id
        if stream_id is None:
            stream_id = open_stream(house_id)
            houses.update(signals_stream_id=stream_id)
    return Signals(house_id, stream_id)


def latest(house: House, most: int = MOST) -> Iterator[dict[str, Any]]:
    """The last signals of a house, newest first, so many at most. Raises `StreamError`."""
    offset: str | None = "now"
    while house.signals_stream_id and offset is not None and most > 0:
        try:
            page = streams(A_PAGES).before(house.pk, house.signals_stream_id, offset, min(AT_ONCE, most))
        except NoSuchStream:  # the first is on its way
            return
        yield from reversed(page.events)
        offset, most = page.prev, most - len(page.events)


def since(house: House, start: datetime, kinds: set[str], agent: str = "") -> tuple[list[dict[str, Any]], bool]:
    """The signals from `start` on that were asked for, newest first; and whether there are more than are read."""
    found: list[dict[str, Any]] = []
    read = 0
    for event in latest(house):
        if datetime.fromisoformat(event["ts"]) < start:
            return found, False
        read += 1
        if (not kinds or event["type"] in kinds) and (not agent or event["author_agent_id"] == agent):
            found.append(event)
    return found, read >= MOST
