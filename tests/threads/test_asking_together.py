"""The door asks about everybody who follows the streams of a house at once, and answers each as if they were alone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from houses.giving import give
from houses.models import Agent, House, Token
from houses.tenancy import inside
from streams.bearers import bearers
from streams.door import HouseDoor
from streams.outbox import open_stream
from streams.wire import Caller
from threads import door as threads_door
from threads.door import bits_on
from threads.models import Thread


@pytest.fixture
def streams(oak, ada, thread):
    """One of each kind, by what it tells."""
    with inside(oak, ada):
        child = Thread.objects.open_in(oak, by=ada, name="child", parent=thread)
        other = Thread.objects.open_in(oak, by=ada, name="other")
        House.objects.update(signals_stream_id=open_stream(oak.pk))
        return {
            "thread": thread.stream_id,
            "child": child.stream_id,
            "other": other.stream_id,
            "signals": House.objects.get().signals_stream_id,
            "gone": open_stream(oak.pk),
            "bytes": "raw.bytes",
        }


def as_they_come(agent, cap="rwx", within=""):
    """Somebody who came in with a token like that."""
    one = Agent.objects.get(pk=agent.pk)
    one.cap, one.within = cap, within
    return one


@pytest.mark.parametrize("at_once", [5000, 3])
def test_each_is_answered_as_if_they_were_alone(oak, ada, bo, scribe, cy, streams, monkeypatch, at_once):
    monkeypatch.setattr(threads_door, "AT_ONCE", at_once)
    with inside(oak, ada):
        thread = Thread.objects.get(name="work")
        give(bo, thread, "r", by=ada)
        give(bo, Thread.objects.get(name="child"), "none", by=ada)
        give(scribe, oak, "none", by=ada)
        give(scribe, thread, "rw", by=ada)
    everybody = {
        "ada": as_they_come(ada),
        "her reader": as_they_come(ada, cap="r"),
        "her run": as_they_come(ada, cap="rw", within=thread.pk),
        "bo": as_they_come(bo),
        "scribe": as_they_come(scribe),
        "cy": as_they_come(cy),
    }
    asked = [(stream, agent) for agent in everybody.values() for stream in streams.values()]
    answers = bits_on(oak.pk, asked)
    found = {who: answers[n * len(streams) : (n + 1) * len(streams)] for n, who in enumerate(everybody)}
    assert found == {  # thread, child, other, signals, gone, bytes
        "ada": ["rwx", "rwx", "rwx", "r", "", "rwx"],
        "her reader": ["r", "r", "r", "", "", "r"],
        "her run": ["rw", "rw", "", "", "", ""],
        "bo": ["r", "", "rw", "", "", "rw"],
        "scribe": ["rw", "rw", "", "", "", ""],
        "cy": [""] * 6,
    }
    assert answers == [bits_on(oak.pk, [one])[0] for one in asked]


def test_nobody_is_answered_for_streams_of_next_door(elm, ada, cy, streams):
    assert bits_on(elm.pk, [(streams["thread"], ada), (streams["child"], ada)]) == ["", ""]


def crowd(oak, ada, count):
    """People with a session and bots with a token, in turn: their credentials."""
    from django.test import Client

    found = {}
    for number in range(count):
        if number % 2:
            agent = Agent.objects.create_bot(f"bot {number}", "chat")
        else:
            agent = Agent.objects.create_human(f"person {number}", f"{number}@oak.example")
        with inside(oak, ada):
            House.objects.get().admit(agent, by=ada)
            token = Token.objects.mint(agent, "for a test", by=ada)[0] if number % 2 else None
        if token:
            found[f"token {token.pk}"] = agent
            continue
        client = Client()
        client.force_login(agent)
        found[f"session {client.cookies[django_settings.SESSION_COOKIE_NAME].value}"] = agent
    return found


def test_many_cost_no_more_questions_than_few(oak, ada, thread):
    credentials = crowd(oak, ada, 20)
    asked = []
    for some in (list(credentials)[:2], list(credentials)):
        with CaptureQueriesContext(connection) as questions:
            whose = bearers(oak.pk, some)
            bits = bits_on(oak.pk, [(thread.stream_id, whose[credential]) for credential in some])
        assert whose == {credential: credentials[credential] for credential in some}
        assert bits == ["rw"] * len(some)
        asked.append(len(questions))
    assert asked[0] == asked[1] < 15


NOBODY = "agent 00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("told", ["", "nonsense", "token", "session", "token x", "session x", NOBODY, "password x"])
def test_what_is_no_credential_speaks_for_nobody(oak, told):
    assert bearers(oak.pk, [told]) == {}


async def away(what, *args):
    return await sync_to_async(what, thread_sensitive=False)(*args)


class Counting:
    """Asks for bits as the house does, and counts."""

    def __init__(self) -> None:
        self.rounds: list[int] = []

    def __call__(self, house, asked):
        self.rounds.append(len(asked))
        return bits_on(house, asked)


@pytest.fixture
async def callers(committed, oak, ada, thread):
    """Forty who follow one thread."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))  # one thread asks the database, and is asked to let go of it
    credentials = await away(crowd, oak, ada, 40)
    yield [Caller(False, str(agent.pk), oak.pk, key, thread.stream_id) for key, agent in credentials.items()]
    await loop.run_in_executor(None, connections.close_all)


async def test_however_many_follow_and_however_often_each_asks_there_are_two_rounds_a_second(callers, oak):
    bits = Counting()
    door = HouseDoor(bits)

    async def follow(caller):
        end = monotonic() + 2
        while monotonic() < end:
            assert await door.still(caller, oak.pk)
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(follow, callers))
    assert 2 <= len(bits.rounds) <= 6, bits.rounds
    assert max(bits.rounds) == 40


async def test_whoever_comes_while_a_round_goes_on_is_answered_by_the_next(callers, oak, ada):
    door = HouseDoor(bits_on)
    first = asyncio.create_task(door.still(callers[0], oak.pk))
    await asyncio.sleep(0)
    gone = Caller(False, str(ada.pk), oak.pk, "session nobody's", callers[0].stream)
    assert await asyncio.gather(first, *(door.still(one, oak.pk) for one in [*callers, gone])) == [True] * 41 + [False]


async def test_an_answer_is_never_older_than_what_was_asked_for(callers, oak, ada):
    door = HouseDoor(bits_on)
    assert await door.still(callers[1], oak.pk)
    await away(revoke, oak, ada, callers[1].credential.partition(" ")[2])
    assert await door.still(callers[1], oak.pk)  # as of half a second ago
    assert not await door.still(callers[1], oak.pk, since=monotonic())


async def test_when_nobody_can_be_asked_all_who_wait_hear_of_it_and_the_next_round_asks_again(callers, oak):
    answers = iter([OSError("the database is away")])

    def bits(house, asked):
        for error in answers:
            raise error
        return bits_on(house, asked)

    door = HouseDoor(bits)
    said = await asyncio.gather(*(door.still(one, oak.pk) for one in callers), return_exceptions=True)
    assert [type(one) for one in said] == [OSError] * 40
    assert await door.still(callers[0], oak.pk)


def revoke(house, by, token):
    with inside(house, by):
        Token.objects.get(pk=token).revoke(by=by)
