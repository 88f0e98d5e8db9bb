"""The other ways in: sockets, the stream door, what is told to a stream, jobs, and the operators' admin."""

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import django_rq
import pytest
from asgiref.sync import async_to_sync
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client

from arbe.serving import SOCKETS
from houses.models import Token
from houses.tenancy import inside
from streams.door import HouseDoor
from streams.events import Event
from streams.refusals import Refusal
from tests.houses.furniture import furnish, sql
from tests.tenancy.neighbours import digests
from tests.tenancy.places import addresses
from tests.tenancy.words import row_named_by
from threads.log.rendering import render
from threads.models import Thread

NOWHERE = "n" * 12


@pytest.fixture
def both(committed, oak, elm, ada, cy, monkeypatch):
    """Both houses, furnished; commits are real, and threads come and go."""
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    return furnish(oak, ada), furnish(elm, cy)


def state(house, by) -> list[tuple]:
    with inside(house, by):
        return sorted(sql(digests()))


def session_of(agent) -> str:
    client = Client()
    client.force_login(agent)
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


def headers_of(agent, house, how: str) -> list[tuple[bytes, bytes]]:
    if how == "session":
        return [(b"cookie", f"{django_settings.SESSION_COOKIE_NAME}={session_of(agent)}".encode())]
    with inside(house, agent):
        text = Token.objects.mint(agent, "for a test", by=agent)[1]
    return [(b"authorization", f"Bearer {text}".encode())]


@pytest.mark.parametrize("how", ["session", "token"])
def test_every_socket_closes_alike_next_door_and_nowhere(both, oak, elm, ada, cy, how, settings):
    mine, theirs = both
    headers = headers_of(ada, oak, how)
    tried = 0
    for address, _ in addresses(SOCKETS):
        words = [part.strip("{}") for part in address.split("/") if part.startswith("{")]
        assert all(row_named_by(word) for word in words), f"{address}: nobody knows what {words} are"
        own = {"house": oak.pk, "thread": mine[Thread].pk}
        there = {"house": elm.pk, "thread": theirs[Thread].pk}
        for word in words:
            for values in (there, {**own, word: there[word]}, {**own, word: NOWHERE}, dict.fromkeys(own, NOWHERE)):
                path = address.format(**values)
                assert async_to_sync(_knocked)(path, headers) == 4404, path
                tried += 1
    assert tried


async def _knocked(path: str, headers) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))  # one thread asks the database, and is asked to let go of it
    socket = WebsocketCommunicator(URLRouter(SOCKETS), path, headers=headers)
    await socket.connect()
    code = (await socket.receive_output())["code"]
    await socket.disconnect()
    await loop.run_in_executor(None, connections.close_all)
    return code


@pytest.mark.parametrize("how", ["session", "token"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_the_stream_door_refuses_alike_next_door_and_nowhere(both, oak, elm, ada, how, method):
    theirs, headers, said = both[1][Thread].stream_id, headers_of(ada, oak, how), set()
    for house, stream in ((elm.pk, theirs), (elm.pk, NOWHERE), (NOWHERE, theirs), (NOWHERE, NOWHERE)):
        scope = {"headers": headers, "method": method, "house": house, "stream": stream}
        with pytest.raises(Refusal) as refusal:
            async_to_sync(HouseDoor().admit)(scope)
        said.add((refusal.value.status, refusal.value.code, refusal.value.detail))
    assert len(said) == 1 and {status for status, _, _ in said} <= {401, 404}


def _kinds() -> list[type]:
    found, waiting = [], [Event]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return [kind for kind in found if getattr(kind, "kind", None)]


def test_whatever_is_told_to_a_stream_shows_nothing_of_next_door(both, oak, elm, cy):
    """A member may write what they like to their own stream: ids of Elm in every field of every kind of event."""
    _, theirs = both
    before, kinds = state(elm, cy), _kinds()
    assert len(kinds) > 10
    secret = {str(elm), f"Bot of {elm}", f"x of {elm}"}
    with inside(oak):
        for kind in kinds:
            for row in theirs.values():
                named = {name: str(row.pk) for name in kind.__dataclass_fields__}
                try:
                    pieces = render(
                        {
                            "type": kind.kind,
                            "seq": "1",
                            "stream_id": "s",
                            "payload": named,
                            "author": "",
                            "agent_id": str(row.pk),
                            "at": 0,
                            "ts": 0,
                            **named,
                        },
                        oak.pk,
                    )
                except Exception:  # noqa: BLE001  # it cannot be shown; then nothing is
                    continue
                shown = "".join(piece.live for piece in pieces)
                assert not [word for word in secret if word in shown], kind
    assert state(elm, cy) == before


def job_functions() -> list[object]:
    """Every job there is a call for anywhere, by the names that are put into queues."""
    import re
    from pathlib import Path

    named = set()
    for app in ("houses", "threads", "sandboxes", "streams", "artifacts", "arbe"):
        for path in Path(app).rglob("*.py"):
            named |= set(re.findall(r'"(\w+(?:\.\w+)*\.jobs\.\w+)"', path.read_text()))
    named -= {*django_settings.ARBE_SWEEPS}  # they take nothing
    found = [getattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in named]
    for module in {inspect.getmodule(one) for one in found}:
        here = [one for _, one in inspect.getmembers(module, inspect.isfunction) if one.__module__ == module.__name__]
        found += [one for one in here if inspect.signature(one).parameters and not one.__name__.startswith("_")]
    return [*dict.fromkeys(found)]


def test_a_job_of_one_house_with_an_id_of_the_other_does_nothing(both, oak, elm, ada, cy):
    mine, theirs = both
    by_word = {model._meta.model_name: (mine[model], theirs[model]) for model in mine}
    before = state(oak, ada), state(elm, cy)
    jobs = job_functions()
    assert len(jobs) > 2
    for job in jobs:
        house, *others = inspect.signature(job).parameters
        assert house == "house_id", f"{job.__name__}: a job takes its house first"
        for word in others:
            row = row_named_by(word)
            assert row in by_word, f"{job.__name__} takes “{word}”, and nobody knows what that is"
        for at, one in ((oak.pk, 1), (elm.pk, 0), (NOWHERE, 0), (NOWHERE, 1)):
            job(at, *[str(by_word[row_named_by(word)][one].pk) for word in others])
    assert (state(oak, ada), state(elm, cy)) == before
    assert all(django_rq.get_queue(name).count == 0 for name in django_settings.RQ_QUEUES)


def test_the_admin_is_for_operators_in_every_address_and_action(both, oak, elm, ada, cy):
    """An owner is nobody there: each address sends them away alike, whether something is there or not."""
    from django.contrib import admin

    client, before = Client(), state(elm, cy)
    client.force_login(ada)
    tried = 0
    for model, page in admin.site._registry.items():
        where = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        row = both[1].get(model)
        for address in (
            where,
            f"{where}add/",
            *([f"{where}{row.pk}/change/", f"{where}{row.pk}/delete/"] if row else []),
        ):
            assert client.get(address).status_code in (302, 403, 404), address
        for action in (
            (*page.get_actions_names(), "delete_selected") if hasattr(page, "get_actions_names") else _actions(page)
        ):
            sent = {"action": action, "_selected_action": [row.pk] if row else [NOWHERE], "post": "yes"}
            assert client.post(where, sent).status_code in (302, 403, 404), (where, action)
            tried += 1
    assert tried > 5 and state(elm, cy) == before


def _actions(page) -> list[str]:
    named = [getattr(action, "__name__", action) for action in page.actions or ()]
    return [*named, "delete_selected"]
