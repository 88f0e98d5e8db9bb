"""The door of a stream: arbe itself, and whoever is in the house, as long as they are."""

import time

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.db import connections
from django.http.cookie import parse_cookie
from django.test import Client
from django.utils import timezone

from houses.models import Agent, Member, Token
from houses.tenancy import inside
from streams.door import LONGEST_COOKIES, HouseDoor, _session_key
from streams.refusals import Refusal
from streams.wire import Caller


@pytest.fixture
def door(committed, monkeypatch):
    # It asks in threads that come and go, and with them their connections.
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    return HouseDoor()


@pytest.fixture
def token(oak, ada, scribe):
    """Scribe's, for Oak."""
    with inside(oak, ada):
        return Token.objects.mint(scribe, "for tests", by=ada)


@pytest.fixture
def session(ada):
    """Ada's browser."""
    client = Client()
    client.force_login(ada)
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def knock(door):
    def knocked(house, *, bearer=None, session="", method="GET"):
        headers = [(b"authorization", f"Bearer {bearer}".encode())] if bearer is not None else []
        if session:
            headers.append((b"cookie", f"other=1; {django_settings.SESSION_COOKIE_NAME}={session}".encode()))
        scope = {"headers": headers, "method": method, "house": getattr(house, "pk", house), "stream": "s"}
        return async_to_sync(door.admit)(scope)

    return knocked


def refused(knocking):
    with pytest.raises(Refusal) as refusal:
        knocking()
    return refusal.value.status


def still(door, caller, house):
    """Asked afresh, as after a second."""
    door._known.clear()
    return async_to_sync(door.still)(caller, house.pk)


def leave(house, agent, by):
    with inside(house, by):
        Member.objects.of(agent).leave(by=by)


def test_arbe_comes_in_everywhere_with_its_key(knock, settings):
    settings.STREAMS_KEY = "the key"
    assert knock("anywhere", bearer="the key") == Caller(internal=True)
    assert refused(lambda: knock("anywhere", bearer="the keys")) == 401


def test_without_a_key_nobody_is_arbe(knock, settings):
    settings.STREAMS_KEY = ""
    assert refused(lambda: knock("anywhere")) == 401


def test_a_bot_comes_in_by_token_to_read_and_to_write(knock, oak, scribe, token):
    for method in ("GET", "POST", "PUT"):
        caller = knock(oak, bearer=token[1], method=method)
        assert (caller.internal, caller.agent_id, caller.house_id) == (False, str(scribe.pk), oak.pk)


def test_a_person_comes_in_by_their_session_to_read_alone(knock, oak, ada, session):
    assert knock(oak, session=session).agent_id == str(ada.pk)
    assert knock(oak, session=session, method="HEAD").agent_id == str(ada.pk)
    for method in ("POST", "PUT", "DELETE"):
        assert refused(lambda method=method: knock(oak, session=session, method=method)) == 401


def test_beside_a_token_a_cookie_does_not_count(knock, oak, session):
    """Where a token is sent along, nobody looks at the page that a cookie comes from."""
    for bearer in ("", "nonsense"):
        assert refused(lambda bearer=bearer: knock(oak, bearer=bearer, session=session)) == 401


@pytest.mark.parametrize("bearer", ["nonsense", "arbe_x_y", "arbe__", "\xff", "arbe_\x00_x"])
def test_what_is_no_token_opens_nothing(knock, oak, bearer):
    assert refused(lambda: knock(oak, bearer=bearer)) == 401


@pytest.mark.parametrize("session", ["nonsense", "a" * 32, ";", '"', "\x00"])
def test_what_is_no_session_opens_nothing(knock, oak, session):
    assert refused(lambda: knock(oak, session=session)) == 401


def test_cookies_that_python_reads_for_seconds_cost_nothing(knock, oak, ada, session):
    """Its own reader takes a time that grows with the square of the backslashes between quotes."""
    quoted = 'x="' + "\\a" * 3_900 + '"'
    began = time.process_time()
    assert knock(oak, session=f"{session}; {quoted}").agent_id == str(ada.pk)
    assert time.process_time() - began < 0.1
    assert refused(lambda: knock(oak, session=session + "; x=" + "y" * LONGEST_COOKIES)) == 431


@pytest.mark.parametrize(
    ("cookies", "key"),
    [
        (b"arbe_session=abcdefgh1", "abcdefgh1"),
        (b'a=b;arbe_session="abcdefgh1" ; c', "abcdefgh1"),
        (b"arbe_session=abcdefgh1; arbe_session=abcdefgh2", "abcdefgh2"),
        (b"arbe_session=abcdefgh1; arbe_session=", ""),
        (b"xarbe_session=abcdefgh1; x=arbe_session=abcdefgh1", ""),
        (b"arbe_session=ABCDEFGH1", ""),
        (b"arbe_session=abcdefgh1\xff", ""),
        (b"", ""),
    ],
)
def test_the_cookie_that_counts_is_the_one_that_django_takes(cookies, key):
    assert _session_key(cookies) == key
    told = parse_cookie(cookies.decode("latin-1")).get("arbe_session", "")
    assert key in (told, "")


def test_next_door_there_is_no_such_stream(knock, elm, token, session):
    assert refused(lambda: knock(elm, bearer=token[1])) == 404
    assert refused(lambda: knock(elm, session=session)) == 404
    assert refused(lambda: knock("nowhere", session=session)) == 404
    assert refused(lambda: knock("", session=session)) == 404


def test_an_expired_token_is_out(knock, oak, token):
    with inside(oak):
        Token.objects.update(expires_at=timezone.now())
    assert refused(lambda: knock(oak, bearer=token[1])) == 401


def test_a_token_that_is_revoked_closes_what_it_opened(door, knock, oak, ada, token):
    caller = knock(oak, bearer=token[1])
    assert still(door, caller, oak)
    with inside(oak, ada):
        token[0].revoke(by=ada)
    assert not still(door, caller, oak)
    assert refused(lambda: knock(oak, bearer=token[1])) == 401


def test_whoever_leaves_is_out(door, knock, oak, ada, scribe, token):
    caller = knock(oak, bearer=token[1])
    leave(oak, scribe, ada)
    assert not still(door, caller, oak)


def test_a_person_who_was_sent_away_is_out_with_the_same_session(door, knock, oak, ada, bo):
    client = Client()
    client.force_login(bo)
    session = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    caller = knock(oak, session=session)
    leave(oak, bo, ada)
    assert not still(door, caller, oak)
    assert refused(lambda: knock(oak, session=session)) == 404


def test_a_session_that_was_signed_out_is_out(door, knock, oak, ada, session):
    caller = knock(oak, session=session)
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = session
    client.logout()
    assert not still(door, caller, oak)


def test_a_new_password_ends_the_old_sessions(door, knock, oak, ada, session):
    caller = knock(oak, session=session)
    ada.set_password("another one altogether")
    ada.save()
    assert not still(door, caller, oak)


def test_an_agent_put_to_rest_is_out(door, knock, oak, ada, session):
    caller = knock(oak, session=session)
    Agent.objects.filter(pk=ada.pk).update(is_active=False)
    assert not still(door, caller, oak)


def test_an_answer_holds_for_a_moment_and_no_longer(door, knock, oak, ada, scribe, token):
    caller = knock(oak, bearer=token[1])
    leave(oak, scribe, ada)
    assert async_to_sync(door.still)(caller, oak.pk)  # asked within the second
    (key,) = door._known
    door._known[key] = (door._known[key][0] - 1, "rw")
    assert not async_to_sync(door.still)(caller, oak.pk)


def test_arbe_stays(door, oak):
    assert async_to_sync(door.still)(Caller(internal=True), oak.pk)
