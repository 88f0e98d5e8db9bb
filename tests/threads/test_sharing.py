"""Read links of a thread: who makes one, what is told of it, and that it opens what it says."""

import re
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from houses.giving import give
from houses.models import Mutation, Token
from houses.refusals import Forbidden, Invalid, NotFound
from houses.tenancy import inside
from streams.links import read
from tests.api.conftest import Api
from threads.log.rendering import render
from threads.models import Thread
from threads.sharing import NoLinks

KEY = "the key of the streams"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def signing(settings):
    settings.STREAMS_KEY, settings.ARBE_URL = KEY, "https://arbe.example"


@pytest.fixture
def thread(oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="Weather")


@pytest.fixture
def share(oak, thread):
    def shared(by, life=DAY, **more):
        with inside(oak, by):
            return thread.share(life, by=by, **more)

    return shared


def link_in(url, thread):
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == (
        f"https://arbe.example/v1/stream/{thread.house_id}/{thread.stream_id}"
    )
    return read({"house": thread.house_id, "stream": thread.stream_id, "query_string": parts.query.encode()}, [KEY])


def test_a_link_reads_this_threads_stream_for_as_long_as_was_said(share, thread, bo):
    url, ends = share(bo)
    link = link_in(url, thread)
    assert (link.by, link.token, link.expires) == (str(bo.pk), "", int(ends.timestamp()))
    assert abs(link.expires - time.time() - DAY.total_seconds()) < 5


def test_it_is_told_in_the_thread_who_made_one_and_until_when_but_not_the_link(told, thread, share, bo):
    url, ends = share(bo)
    event = told(thread)[-1]
    assert (event["type"], event["author_agent_id"]) == ("thread_link_made", str(bo.pk))
    assert event["payload"] == {"expires_at": ends.isoformat().replace("+00:00", "Z")}
    assert parse_qs(urlsplit(url).query)["signature"][0] not in str(told(thread))


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=-1), timedelta(days=30, seconds=1)])
def test_it_lives_for_a_month_at_the_most(share, ada, thread, life):
    with pytest.raises(Invalid):
        share(ada, life)
    assert share(ada, timedelta(days=30))


def test_whoever_may_only_read_lets_nobody_else_read(share, oak, ada, bo, cy, thread):
    with inside(oak, ada):
        give(bo, thread, "r", by=ada)
    with pytest.raises(Forbidden):
        share(bo)
    with pytest.raises(NotFound):
        share(cy)


def test_the_token_of_a_run_makes_no_link(share, thread, bo):
    bo.within = thread.pk
    with pytest.raises(Forbidden, match="token of a run"):
        share(bo)


def test_a_link_that_a_token_asked_for_does_not_outlive_it(share, oak, thread, ada):
    with inside(oak, ada):
        soon = timezone.now() + timedelta(hours=1)
        token, _ = Token.objects.mint(ada, "for a link", by=ada, expires_at=soon)
    url, ends = share(ada, asked_with=token)
    assert link_in(url, thread).token == token.pk
    assert ends == soon.replace(microsecond=0)


def test_where_nothing_can_be_signed_it_says_so(share, ada, settings):
    settings.STREAMS_KEY = ""
    with pytest.raises(NoLinks, match="ARBE_STREAMS_KEY"):
        share(ada)


# Over the API


@pytest.fixture
def token(oak, ada):
    with inside(oak, ada):
        return Token.objects.mint(ada, "for a test", by=ada)


@pytest.fixture
def api(oak, token):
    return Api(oak, token[1])


def test_the_api_makes_one_and_says_when_it_ends(api, thread, token):
    made = api.ok("POST", f"threads/{thread.pk}/links/", {"expires_in": 3600}, 201)
    assert made.keys() == {"url", "expires_at"}
    link = link_in(made["url"], thread)
    assert link.token == token[0].pk and abs(link.expires - time.time() - 3600) < 5
    assert api.ok("POST", f"threads/{thread.pk}/links/", {}, 201)


@pytest.mark.parametrize("wrong", [0, -5, 30 * 24 * 3600 + 1, "soon", None, 1.5, 10**30])
def test_the_api_takes_no_other_lives(api, thread, wrong):
    assert api.refused("POST", f"threads/{thread.pk}/links/", {"expires_in": wrong}) == (400, "invalid")


def test_asked_twice_with_one_key_there_is_one_link(api, oak, thread):
    path, key = f"threads/{thread.pk}/links/", {"Idempotency-Key": "once"}
    first, again = (api.ok("POST", path, {"expires_in": 60}, 201, **key) for _ in range(2))
    assert first == again


def test_the_api_refuses_a_reader_and_knows_nothing_next_door(oak, elm, ada, bo, cy, thread):
    path = f"threads/{thread.pk}/links/"
    with inside(oak, ada):
        give(bo, thread, "r", by=ada)
    with inside(oak, bo):
        bos = Api(oak, Token.objects.mint(bo, "for a test", by=bo)[1])
    with inside(elm, cy):
        cys = Api(elm, Token.objects.mint(cy, "for a test", by=cy)[1])
    assert bos.refused("POST", path, {}) == (403, "forbidden")
    assert cys.refused("POST", path, {}) == (404, "not_found")
    assert cys("POST", path, {}, house=oak).status_code == 404
    assert bos.refused("GET", path) == (405, "method_not_allowed")


# On the thread's page


def test_a_person_picks_how_long_and_gets_the_link_once(client_of, oak, bo, thread):
    browser, page = client_of(bo), f"/houses/{oak.pk}/threads/{thread.pk}/links/"
    shown = browser.post(page, {"life": "604800"})
    html = shown.content.decode()
    (url,) = re.findall(r'data-copy="([^"]+)"', html)
    link = link_in(url.replace("&amp;", "&"), thread)
    assert abs(link.expires - time.time() - 7 * 24 * 3600) < 5
    until = time.strftime("%Y, %H:%M UTC", time.gmtime(link.expires))
    assert "Whoever has this link reads everything in this thread" in html and until in html
    assert "no-store" in shown.headers["Cache-Control"]
    assert shown.headers["Referrer-Policy"] == "same-origin"
    assert browser.get(page).status_code == 405


@pytest.mark.parametrize("life", ["", "1", "2592000", "\0", "x"])
def test_the_page_offers_what_it_offers(client_of, oak, ada, thread, life):
    answer = client_of(ada).post(f"/houses/{oak.pk}/threads/{thread.pk}/links/", {"life": life})
    assert answer.status_code == 400


def test_what_is_signed_is_in_no_table(committed, oak, ada, share, thread):
    url, _ = share(ada)
    signature = parse_qs(urlsplit(url).query)["signature"][0]
    with inside(oak, ada):
        assert signature not in str(list(Mutation.objects.values()))


def test_the_page_of_a_thread_offers_it_to_whoever_may_write_there(client_of, oak, ada, bo, thread):
    with inside(oak, ada):
        give(bo, thread, "r", by=ada)
    page = f"/houses/{oak.pk}/threads/{thread.pk}/"
    adas, bos = (client_of(agent).get(page).content.decode() for agent in (ada, bo))
    assert f'action="{page}links/"' in adas and "Share a read link" in adas
    assert re.findall(r'<option value="(\d+)">(for [^<]+)', adas) == [
        ("3600", "for 1 hour"),
        ("86400", "for 1 day"),
        ("604800", "for 7 days"),
    ]
    assert "Share a read link" not in bos


def test_the_log_says_who_let_somebody_outside_read_and_until_when(oak, ada, thread):
    told = {"type": "thread_link_made", "seq": "1", "stream_id": thread.stream_id, "author_agent_id": str(ada.pk)}
    told |= {"ts": "2026-11-21T12:00:00Z", "payload": {"expires_at": "2026-11-28T12:30:00Z"}}
    (piece,) = render(told, oak.pk)
    assert "<b>Ada</b> made a link by which somebody outside can read this thread" in piece.html
    assert "until 28 November 2026, 12:30 UTC" in piece.html
