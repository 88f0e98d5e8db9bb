"""Raw streams of a house: who makes, writes, reads and ends them, under which names, and how many."""

import asyncio
import re

import httpx
import pytest
from django.db import connections
from django.test import Client

from houses.giving import give
from houses.models import Agent, Mutation, Token
from houses.tenancy import inside
from streams.models import RawStream
from streams.raw import NAME
from tests.streams.street import KEY, Street, running
from threads.models import Thread

TEXT = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def street(committed, oak, tmp_path, monkeypatch, settings):
    settings.STREAMS_KEY = KEY
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    with running(tmp_path / "streams") as url:
        street = Street(url, oak.pk)
        yield street
        street.close()


@pytest.fixture
def with_token(street, oak, ada):
    """Somebody of Oak comes with a token of theirs that may do so much."""

    def coming(agent, bits="rwx"):
        with inside(oak, ada):
            token, text = Token.objects.mint(agent, "for a test", by=ada if agent.is_bot else agent)
            Token.objects.filter(pk=token.pk).update(bits=bits)
        return street.holding(text)

    return coming


@pytest.fixture
def scribes(with_token, scribe):
    """Oak's bot."""
    return with_token(scribe)


def rows(house, by):
    with inside(house, by):
        return sorted(RawStream.objects.values_list("name", "content_type", "created_by__name"))


def test_a_bot_makes_one_writes_it_reads_it_and_deletes_it(street, scribes, scribe, oak, ada):
    log = street.at("raw.build-log.1")
    made = scribes.put(log, headers=TEXT, content=b"one\n")
    assert made.status_code == 201 and made.headers["location"].endswith(log)
    assert scribes.put(log, headers=TEXT).status_code == 200
    assert scribes.put(log, headers=JSON).status_code == 409
    assert scribes.post(log, headers=TEXT, content=b"two\n").status_code == 204
    assert scribes.get(log).text == "one\ntwo\n"
    assert rows(oak, ada) == [("raw.build-log.1", "text/plain", "Scribe")]
    assert scribes.delete(log).status_code == 204
    assert scribes.get(log).status_code == scribes.delete(log).status_code == 404
    assert rows(oak, ada) == []
    with inside(oak, ada):
        kept = Mutation.objects.filter(table_name="raw_streams").order_by("id").values_list("action", "agent_id")
        assert list(kept) == [("insert", scribe.pk), ("delete", scribe.pk)]


@pytest.mark.parametrize(
    ("content_type", "sent", "told"),
    [
        ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
        ("text/plain; charset=utf-8", "Grüße".encode(), "Grüße".encode()),
        ("application/json", b'[{"type": "signal.make"}, 1.0]', b'[{"type": "signal.make"},1.0]'),
    ],
)
def test_what_it_holds_is_told_as_it_was_sent(street, scribes, bo, with_token, content_type, sent, told):
    log, headers = street.at("raw.x"), {"Content-Type": content_type}
    scribes.put(log, headers=headers).raise_for_status()
    scribes.post(log, headers=headers, content=sent).raise_for_status()
    answer = with_token(bo).get(log)
    assert (answer.content, answer.headers["content-type"]) == (told, content_type)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_whoever_may_write_it_closes_it_and_numbers_its_appends(street, scribes, bo, with_token):
    log, bos = street.at("raw.x"), with_token(bo)
    scribes.put(log, headers=TEXT).raise_for_status()
    assert scribes.post(log, headers=TEXT | {"Stream-Seq": "2"}, content=b"a").status_code == 204
    assert bos.post(log, headers=TEXT | {"Stream-Seq": "1"}, content=b"b").status_code == 409
    assert bos.post(log, headers={"Stream-Closed": "true"}).status_code == 204
    assert scribes.post(log, headers=TEXT, content=b"c").status_code == 409
    assert bos.get(log).headers["stream-closed"] == "true"


def test_on_the_log_of_a_thread_that_is_still_refused(street, scribes, oak, ada):
    with inside(oak, ada):
        log = street.at(Thread.objects.open_in(oak, by=ada).stream_id)
    street.arbe.put(log, headers={"Arbe-Envelope": "true"}).raise_for_status()
    said = {"json": {"type": "message", "payload": {"text": "x"}}}
    for refused in (
        scribes.post(log, headers={"Stream-Closed": "true"}),
        scribes.post(log, headers={"Stream-Seq": "1"}, **said),
        scribes.put(log, headers=JSON),
        scribes.delete(log),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert scribes.get(log).json() == []


# Names and types


ODD_NAMES = ["x", "raw", "raw.", "raw.-", "raw..", "raw.X", "RAW.x", "raw.ä", "raw.a b", "raw.x%00", "raw.x%0A", "__ds"]
ODD_NAMES += ["raw." + "a" * 61, "abcdefghjkmn", "raw.x/y", "raw%2Ex%2Fy", "..", "raw.%2e%2e%2fx"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_other_names_are_refused(street, scribes, oak, ada, name):
    answer = scribes.put(f"/v1/stream/{oak.pk}/" + name, headers=TEXT)
    assert answer.status_code in (400, 403, 404), answer.text
    assert rows(oak, ada) == []


def test_no_id_of_arbes_own_is_a_name(oak, ada, db):
    with inside(oak, ada):
        ids = [Thread.objects.open_in(oak, by=ada).stream_id for _ in range(5)]
    assert not any(NAME.fullmatch(one) for one in ids) and all(re.fullmatch("[a-z0-9]+", one) for one in ids)


RUN = "text/html image/svg+xml text/javascript application/javascript text/css application/xhtml+xml text/xml"
RUN += " application/pdf multipart/form-data text/event-stream TEXT/HTML text/html;charset=utf-8"


@pytest.mark.parametrize("content_type", RUN.split())
def test_nothing_that_a_browser_would_run_is_served_from_our_address(street, scribes, oak, ada, content_type):
    answer = scribes.put(street.at("raw.page"), headers={"Content-Type": content_type}, content=b"<script>")
    assert answer.status_code == 400 and rows(oak, ada) == []
    assert scribes.get(street.at("raw.page")).status_code == 404


TWO = ["text/plain; x=x, text/html", "text/plain,text/html", 'text/plain; x="a, text/html"', "text/plain;x;text/html"]
TWO += ["text/plain; charset=utf-8, text/html", "text/plain; charset=utf-7", "text/plain; x=y", "text/plain;"]
TWO += ["text/plain; charset=utf-8; charset=utf-7", 'text/plain; charset="utf-8, text/html"', "text/plain; charset"]


@pytest.mark.parametrize("content_type", TWO)
def test_nor_what_some_browser_would_take_for_another_type(street, scribes, oak, ada, content_type):
    answer = scribes.put(street.at("raw.page"), headers={"Content-Type": content_type}, content=b"<script>")
    assert answer.status_code == 400 and rows(oak, ada) == []


@pytest.mark.parametrize("content_type", TWO[:4])
def test_no_stream_at_all_has_two_types(street, content_type):
    assert street.arbe.put(street.at("page"), headers={"Content-Type": content_type}).status_code == 400
    assert street.arbe.put(street.at("page"), headers={"Content-Type": 'text/x; a=b; c="d e"'}).status_code == 201


def test_a_browser_keeps_it_as_a_file(street, scribes):
    scribes.put(street.at("raw.x"), headers=TEXT, content=b"<script>").raise_for_status()
    for query in ("", "?offset=-1&live=long-poll"):
        assert scribes.get(street.at("raw.x") + query).headers["content-disposition"] == "attachment"


def test_it_has_no_envelope_and_is_no_fork(street, scribes, oak, ada):
    street.arbe.put(street.at("source"), headers=TEXT, content=b"secret").raise_for_status()
    assert scribes.put(street.at("raw.x"), headers={"Arbe-Envelope": "true"}).status_code == 400
    forked = scribes.put(street.at("raw.x"), headers=TEXT | {"Stream-Forked-From": street.at("source")})
    assert forked.status_code == 403 and rows(oak, ada) == []
    assert scribes.get(street.at("raw.x")).status_code == 404


# Who


def test_it_takes_w_on_the_house_to_make_and_to_write_one(street, scribes, oak, ada, bo, with_token):
    bos, log = with_token(bo), street.at("raw.x")
    readers = with_token(ada, "r")
    with inside(oak, ada):
        give(bo, oak, "r", by=ada)
    scribes.put(log, headers=TEXT, content=b"hello").raise_for_status()
    for reader in (bos, readers):
        assert reader.get(log).text == "hello"
        for refused in (
            reader.put(street.at("raw.y"), headers=TEXT),
            reader.post(log, headers=TEXT, content=b"x"),
            reader.delete(log),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    with inside(oak, ada):
        give(bo, oak, "none", by=ada)
    assert bos.get(street.at("raw.z")).status_code == bos.put(street.at("raw.z"), headers=TEXT).status_code == 404
    assert rows(oak, ada) == [("raw.x", "text/plain", "Scribe")]


def test_it_is_deleted_by_who_made_it_or_who_manages_the_house(street, scribes, oak, ada, bo, with_token):
    bos, adas = with_token(bo), with_token(ada)
    for name in ("raw.x", "raw.y"):
        scribes.put(street.at(name), headers=TEXT).raise_for_status()
    refused = bos.delete(street.at("raw.x"))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert with_token(ada, "rw").delete(street.at("raw.x")).status_code == 403
    assert scribes.delete(street.at("raw.x")).status_code == adas.delete(street.at("raw.y")).status_code == 204
    assert [one.delete(street.at("raw.never")).status_code for one in (bos, adas)] == [404, 404]
    assert rows(oak, ada) == []


def test_a_browser_alone_makes_and_ends_none(street, scribes, oak, ada):
    browser = Client()
    browser.force_login(ada)
    cookie = {"Cookie": f"arbe_session={browser.cookies['arbe_session'].value}"}
    scribes.put(street.at("raw.x"), headers=TEXT).raise_for_status()
    assert street.anybody.get(street.at("raw.x"), headers=cookie).status_code == 200
    assert street.anybody.put(street.at("raw.y"), headers=TEXT | cookie).status_code == 401
    assert street.anybody.delete(street.at("raw.x"), headers=cookie).status_code == 401
    assert street.anybody.post(street.at("raw.x"), headers=TEXT | cookie, content=b"x").status_code == 401


def test_next_door_there_is_nothing(street, scribes, elm, cy):
    with inside(elm, cy):
        cys = street.holding(Token.objects.mint(cy, "for a test", by=cy)[1])
    scribes.put(street.at("raw.x"), headers=TEXT).raise_for_status()
    for stream in ("raw.x", "raw.y"):
        answers = [
            cys.get(street.at(stream)),
            cys.put(street.at(stream), headers=TEXT),
            cys.post(street.at(stream), headers=TEXT, content=b"x"),
            cys.delete(street.at(stream)),
        ]
        assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    # And the same name is free in every house.
    assert cys.put(f"/v1/stream/{elm.pk}/raw.x", headers=TEXT).status_code == 201


# How many


def test_a_house_has_so_many_and_no_more(street, scribes, oak, ada, settings):
    settings.RAW_STREAMS = 2
    for name in ("raw.a", "raw.b"):
        scribes.put(street.at(name), headers=TEXT).raise_for_status()
    refused = scribes.put(street.at("raw.c"), headers=TEXT)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_streams")
    assert "2 raw streams" in refused.json()["detail"]
    assert scribes.get(street.at("raw.c")).status_code == 404
    assert scribes.put(street.at("raw.a"), headers=TEXT).status_code == 200
    scribes.delete(street.at("raw.a")).raise_for_status()
    assert scribes.put(street.at("raw.c"), headers=TEXT).status_code == 201
    assert [name for name, *_ in rows(oak, ada)] == ["raw.b", "raw.c"]


def test_however_many_ask_at_once_it_has_no_more(street, scribes, oak, ada, settings):
    settings.RAW_STREAMS = 3

    async def at_once():
        async with httpx.AsyncClient(base_url=street.url, headers=scribes.headers, timeout=30) as http:
            asked = [http.put(street.at(f"raw.{number}"), headers=TEXT) for number in range(12)]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert sorted(asyncio.run(at_once())) == [201] * 3 + [409] * 9
    assert len(rows(oak, ada)) == 3


def test_one_whose_time_is_over_makes_room(street, scribes, oak, ada, settings):
    settings.RAW_STREAMS = 1
    scribes.put(street.at("raw.short"), headers=TEXT | {"Stream-TTL": "1"}).raise_for_status()
    assert scribes.put(street.at("raw.next"), headers=TEXT).status_code == 409
    asyncio.run(asyncio.sleep(1.3))
    assert scribes.put(street.at("raw.next"), headers=TEXT).status_code == 201
    assert [name for name, *_ in rows(oak, ada)] == ["raw.next"]


def test_whoever_makes_anew_what_ended_by_itself_owns_it(street, scribes, oak, ada, bo, with_token):
    bos, log = with_token(bo), street.at("raw.x")
    scribes.put(log, headers=TEXT | {"Stream-TTL": "1"}).raise_for_status()
    assert bos.put(log, headers=TEXT | {"Stream-TTL": "1"}).status_code == 200
    assert rows(oak, ada) == [("raw.x", "text/plain", "Scribe")]
    asyncio.run(asyncio.sleep(1.3))
    assert bos.put(log, headers=JSON).status_code == 201
    assert rows(oak, ada) == [("raw.x", "application/json", bo.name)]
    assert scribes.delete(log).status_code == 403 and bos.delete(log).status_code == 204


def test_a_run_has_none_of_them(street, scribes, oak, ada, bo, with_token):
    scribes.put(street.at("raw.x"), headers=TEXT).raise_for_status()
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada)
    runs = with_token(bo, "rw")
    with inside(oak, ada):
        Token.objects.filter(agent=bo).update(run_thread=thread.pk, run="r")
    answers = [runs.get(street.at("raw.x")), runs.put(street.at("raw.y"), headers=TEXT)]
    answers += [runs.post(street.at("raw.x"), headers=TEXT, content=b"x"), runs.delete(street.at("raw.x"))]
    assert [answer.status_code for answer in answers] == [404] * 4


def test_what_is_refused_leaves_no_row(street, scribes, oak, ada):
    assert scribes.put(street.at("raw.x"), headers=JSON, content=b"{").status_code == 400
    assert scribes.put(street.at("raw.x"), headers={"Content-Type": "nonsense"}).status_code == 400
    assert rows(oak, ada) == []


def test_a_row_without_a_log_is_mended(street, scribes, oak, ada, scribe):
    """As after the process died in between."""
    with inside(oak, ada):
        RawStream.objects.begin("raw.x", "text/plain", by=Agent(pk=scribe.pk))
        RawStream.objects.begin("raw.y", "text/plain", by=Agent(pk=scribe.pk))
    assert scribes.put(street.at("raw.x"), headers=TEXT).status_code == 201
    assert scribes.delete(street.at("raw.y")).status_code == 404
    assert [name for name, *_ in rows(oak, ada)] == ["raw.x"]


def test_the_api_lists_them_for_whoever_may_read_the_house(street, scribes, oak, elm, ada, cy, client_of):
    for name in ("raw.a", "raw.b"):
        scribes.put(street.at(name), headers=TEXT).raise_for_status()
    told = client_of(ada).get(f"/api/houses/{oak.pk}/streams/?limit=1").json()
    (one,) = told["results"]
    assert (one["name"], one["content_type"], one["created_by"]["name"]) == ("raw.b", "text/plain", "Scribe")
    assert told["next"]
    assert client_of(cy).get(f"/api/houses/{oak.pk}/streams/").status_code == 404
    assert client_of(cy).get(f"/api/houses/{elm.pk}/streams/").json()["results"] == []
