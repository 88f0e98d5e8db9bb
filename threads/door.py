"""What agents may do with streams: as much as with what is told there, which is a thread or the house."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from uuid import UUID

from houses.agents import Agent
from houses.models import House
from houses.rights import capped, held, right
from houses.scopes import ALL, R, Scope, X
from houses.tenancy import inside
from streams.raw import is_raw
from threads.models import Thread

AT_ONCE = 5000  # pairs of an agent and a stream that one question is about
Asked = list[tuple[str, Agent]]


def bits_on(house_id: str, asked: Sequence[tuple[str, Agent]]) -> list[str]:
    """Each agent's bits on the stream beside; none on one of which nobody knows what it tells.

    What the house keeps in raw streams is the house's, and not for a run, whose token is for its own thread.
    """
    with inside(house_id):
        streams = {stream for stream, _ in asked}
        threads = Thread.objects.filter(stream_id__in=streams).only("pk", "house_id", "stream_id")
        told: dict[str, Scope] = {thread.stream_id: thread for thread in threads}
        others = streams - told.keys()
        told |= dict.fromkeys(others, House(pk=house_id))
        places = sorted(range(len(asked)), key=lambda place: asked[place][0])
        some = [asked[place] for place in places]
        found = dict(zip(places, (bits for part in _portions(some) for bits in _bits(part, told)), strict=True))
        signals = _signals(others)
    return [
        found[place] if stream not in others else _of_the_house(found[place], agent, stream, stream in signals)
        for place, (stream, agent) in enumerate(asked)
    ]


def _bits(asked: Asked, told: dict[str, Scope]) -> list[str]:
    """One question for all of them; those whom a run's token keeps in its thread are asked about one by one."""
    agents = {agent.pk: agent if agent.cap == ALL else Agent(pk=agent.pk) for _, agent in asked if not agent.within}
    scopes = {told[stream].pk: told[stream] for stream, _ in asked}
    found = held(agents.values(), scopes.values())
    return [
        right(agent, told[stream]).bits if agent.within else capped(agent, found[agent.pk, told[stream].pk].bits)
        for stream, agent in asked
    ]


def _portions(asked: Asked) -> Iterator[Asked]:
    """Ordered by stream, in pieces: of few streams with many agents each, or of many with few."""
    part: Asked = []
    agents: set[UUID] = set()
    streams = 0
    for _, group in groupby(asked, key=lambda one: one[0]):
        those = list(group)
        together = agents | {agent.pk for _, agent in those}
        if part and len(together) * (streams + 1) > AT_ONCE:
            yield part
            part, streams, together = [], 0, {agent.pk for _, agent in those}
        part, agents, streams = part + those, together, streams + 1
    if part:
        yield part


def _signals(streams: set[str]) -> set[str]:
    """Those of them in which the system speaks."""
    if not streams:
        return set()
    rows = House.objects.filter(signals_stream_id__in=streams).values_list("signals_stream_id", flat=True)
    return {str(one) for one in rows}


def _of_the_house(bits: str, agent: Agent, stream: str, is_signals: bool) -> str:
    """Of an agent's bits on the house, those on a stream of it that is no thread's."""
    if is_signals:  # there the system speaks and nobody else, of every thread: for whoever manages the house
        return R if X in bits else ""
    return bits if is_raw(stream) and not agent.within else ""
