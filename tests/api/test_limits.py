"""Whoever asks too often is told when to come back; nobody else notices."""

import logging

import pytest

from houses import attempts
from houses.api import limits
from houses.tenancy import inside
from tests.api.conftest import Api, token_of
from threads.models import Thread

NOON = 12 * 3600.0


@pytest.fixture
def few(settings):
    """Three requests a minute."""
    settings.RATE_LIMIT = 3
    return 3


@pytest.fixture
def at_noon(monkeypatch):
    """A minute that does not end meanwhile."""

    class Noon:
        time = staticmethod(lambda: NOON + 12)

    monkeypatch.setattr(limits, "time", Noon)


def test_the_fourth_of_three_is_told_to_wait(few, at_noon, api):
    said = [api("GET", "") for _ in range(4)]
    assert [one.status_code for one in said] == [200, 200, 200, 429]
    assert [one.headers["RateLimit-Remaining"] for one in said] == ["2", "1", "0", "0"]
    assert {one.headers["RateLimit-Limit"] for one in said} == {"3"}
    assert said[3].headers["Retry-After"] == said[3].headers["RateLimit-Reset"] == "48"
    assert said[3].json() == {
        "code": "too_many_requests",
        "detail": "That is more than 3 requests in a minute; go on in 48 s.",
    }


def test_each_token_is_counted_by_itself(few, at_noon, api, ada, bo, oak):
    for _ in range(4):
        api("GET", "")
    assert api("GET", "").status_code == 429
    assert Api(oak, token_of(ada, oak))("GET", "").status_code == 200
    assert Api(oak, token_of(bo, oak))("GET", "").status_code == 200


def test_a_session_is_counted_by_its_agent(few, at_noon, client_of, ada, bo, oak):
    where = f"/api/houses/{oak.pk}/"
    assert [client_of(ada).get(where).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert client_of(bo).get(where).status_code == 200


def test_strangers_are_counted_by_their_address(few, at_noon, oak):
    nobody = Api(oak, "", REMOTE_ADDR="192.0.2.7")
    assert [nobody("GET", "").status_code for _ in range(4)] == [401, 401, 401, 429]
    wrong = Api(oak, "arbe_x_y", REMOTE_ADDR="192.0.2.8")
    assert [wrong("GET", "").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_what_is_refused_for_being_too_much_is_not_done(few, at_noon, api, oak):
    for _ in range(3):
        api("GET", "")
    assert api.refused("POST", "threads/", {"name": "Soup"}) == (429, "too_many_requests")
    with inside(oak):
        assert not Thread.objects.exists()


def test_the_next_minute_starts_anew(api, running):
    said = [limits.count("somebody", 2, NOON + at) for at in (58, 59, 60)]
    assert [(one.made, one.seconds_left) for one in said] == [(1, 2), (2, 1), (1, 60)]


def test_zero_is_no_limit(settings, api):
    settings.RATE_LIMIT = 0
    assert "RateLimit-Limit" not in api("GET", "").headers


def test_without_redis_everybody_is_let_through_and_the_log_says_so_once(settings, api, caplog):
    settings.RATE_LIMIT, settings.REDIS_URL = 1, "redis://127.0.0.1:1/0"
    attempts.absence_of.cache_clear()
    with caplog.at_level(logging.WARNING, attempts.__name__):
        said = [api("GET", "").status_code for _ in range(3)]
    assert said == [200, 200, 200]
    assert len([one for one in caplog.records if "not counted" in one.message]) == 1
