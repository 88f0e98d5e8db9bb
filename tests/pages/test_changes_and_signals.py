"""Settings → Changes and Settings → Signals, as people and programs ask for them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from houses.giving import give
from houses.models import Memory, Mutation, Secret, Tool
from houses.tenancy import inside
from streams.client import Streams
from streams.signals import CommandWitnessed, FailureWitnessed, signals_of, witness
from threads.models import Thread

DAY_BEFORE, DAY_AFTER = ((datetime.now(UTC) + timedelta(days=days)).date().isoformat() for days in (-2, 2))


@pytest.fixture
def soup(oak, ada, bo):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        give(bo, thread, "r", by=ada)
        Thread.objects.filter(pk=thread.pk).update(name="<b>Stew</b>")
    return thread


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.content.decode()))


def entries(page):
    return [re.sub(r"\s+", " ", re.sub("<[^>]+>", "", one)) for one in re.findall(
        r"<summary><span class=\"wrap-any\">(.*?)</span>", page.content.decode(), re.DOTALL
    )]  # fmt: skip


def test_changes_are_sentences_with_what_was_before_and_after(soup, ada, bo, client_of, at):
    page = client_of(ada).get(at("changes"))
    assert entries(page)[:3] == [
        "Ada changed thread “&lt;b&gt;Stew&lt;/b&gt;”: name",
        "Ada gave Bo r on thread “&lt;b&gt;Stew&lt;/b&gt;”",
        "Ada added thread “Soup”",
    ]
    shown = page.content.decode()
    assert '<del class="mono">Soup</del>' in shown and '<ins class="mono">&lt;b&gt;Stew&lt;/b&gt;</ins>' in shown
    assert f'href="{at("thread", soup.pk)}"' in shown


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"action": "update"}, 1),
        ({"table": "grants"}, 1),
        ({"table": "threads"}, 2),
        ({"agent": "arbe"}, 0),
        ({"from": DAY_AFTER}, 0),
        ({"to": DAY_BEFORE}, 0),
        ({"from": DAY_BEFORE, "table": "threads"}, 2),
    ],
)
def test_changes_are_found_by_what_a_form_asks_for(soup, ada, client_of, at, given, count):
    assert len(entries(client_of(ada).get(at("changes"), given))) == count


def test_a_record_that_changed_is_a_link_to_its_page(oak, ada, client_of, at):
    with inside(oak, ada):
        tool = Tool.objects.create_in(oak, by=ada, name="peel", kind="mcp", config={"url": "https://peel.example/"})
        memory = Memory.objects.remember("Soup is hot.", by=ada)
    shown = client_of(ada).get(at("changes")).content.decode()
    assert f'href="{at("tool", tool.pk)}"' in shown and f'href="{at("memory", memory.pk)}"' in shown


def test_one_thing_has_a_history_of_its_own(soup, ada, client_of, at):
    page = client_of(ada).get(at("changes"), {"table": "threads", "row": soup.pk})
    assert len(entries(page)) == 2 and "The history of" in text_of(page)


def test_earlier_changes_are_on_the_next_page(oak, ada, client_of, at):
    with inside(oak, ada):
        for number in range(60):
            Thread.objects.open_in(oak, by=ada, name=str(number))
        everything = Mutation.objects.count()
    client, address, seen = client_of(ada), at("changes"), []
    while address:
        page = client.get(address)
        seen += entries(page)
        more = re.search(r'class="more"><a class="button" href="([^"]+)"', page.content.decode())
        address = more and at("changes") + more[1]
    assert len(seen) == everything > 60


@pytest.mark.parametrize(
    "given",
    [{"agent": "me"}, {"from": "soon"}, {"before": "x"}, {"before": "-1"}, {"to": "2026"}, {"to": "9999-12-31"}],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(oak, ada, client_of, at, given):
    page = client_of(ada).get(at("changes"), given)
    assert page.status_code == 400


def test_changes_are_for_those_who_manage_the_house(soup, oak, ada, bo, cy, client_of, at):
    assert client_of(bo).get(at("changes")).status_code == 403
    assert client_of(cy).get(at("changes")).status_code == 404
    with inside(oak, ada):
        give(bo, oak, "rx", by=ada)
    assert client_of(bo).get(at("changes")).status_code == 200


def test_a_secrets_value_is_nowhere_on_the_page(oak, ada, client_of, at):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "canary-4711", by=ada)
        Secret.objects.put("API_KEY", "canary-4712", by=ada)
    shown = client_of(ada).get(at("changes")).content.decode()
    assert "API_KEY" in shown and "canary" not in shown


def test_asking_for_changes_costs_no_more_for_many(oak, ada, client_of, at, django_assert_max_num_queries):
    with inside(oak, ada):
        for number in range(40):
            Thread.objects.open_in(oak, by=ada, name=str(number))
    client = client_of(ada)
    client.get(at("changes"))
    with django_assert_max_num_queries(32):
        assert len(entries(client.get(at("changes")))) > 40


# Signals


def seen(**more):
    figures = {"command_id": "abc", "thread_id": "def", "make_id": None, "status": "completed", "queue": 0.01}
    figures |= {"sandbox": 0.1, "tree": 0.01, "first_output": 0.2, "attempts": 1, "machine": "made", "seconds": 2.0}
    figures |= {"cpu_seconds": 1.5, "memory_bytes": 30_000_000, "output_bytes": 1200, "redactions": 0}
    return CommandWitnessed(**(figures | more))


@pytest.fixture
def witnessed(committed, stream_server, streams_at, oak, ada, bo):
    streams_at(stream_server.url)
    witness(oak.pk, seen(), by=ada)
    witness(oak.pk, seen(status="failed", first_output=None, machine="live"), by=bo)
    witness(oak.pk, FailureWitnessed(part="sandbox", command_id="abc", thread_id="def", again=True), by=bo)


def test_signals_are_plotted_and_listed(witnessed, ada, client_of, at):
    page = client_of(ada).get(at("signals"))
    words = text_of(page)
    assert page.content.decode().count("<figure") == 5
    assert "Half within 200 ms" in words and "The sandbox failed" in words
    assert "1 completed, 1 failed, 0 cancelled." in words and "30.0 MB" in words
    assert " style=" not in page.content.decode()


def test_signals_are_found_by_kind_agent_and_time(witnessed, ada, bo, client_of, at):
    client = client_of(ada)

    def rows(**given):
        return client.get(at("signals"), given).content.decode().count("<tr><td>")

    assert (rows(), rows(kind="failure"), rows(kind="make"), rows(agent=str(bo.pk)), rows(span="hour")) == (
        3,
        1,
        0,
        2,
        3,
    )


def test_signals_are_for_those_who_manage_the_house(witnessed, oak, ada, bo, cy, client_of, at):
    """They tell of threads that others may not read."""
    address = f"/api/houses/{oak.pk}/signals/"

    def asked(agent):
        return [client_of(agent).get(one).status_code for one in (at("signals"), address)]

    assert (asked(bo), asked(cy)) == ([403, 403], [404, 404])
    assert at("signals") not in client_of(bo).get(at("members")).content.decode()
    with inside(oak, ada):
        give(bo, oak, "rx", by=ada)
    assert asked(bo) == [200, 200]
    assert at("signals") in client_of(bo).get(at("members")).content.decode()


def test_no_transaction_is_open_while_the_stream_server_is_asked(witnessed, oak, ada, client_of, at, monkeypatch):
    client, seen, real = client_of(ada), [], Streams.before

    def asked(*args):
        seen.append(connection.in_atomic_block)
        return real(*args)

    monkeypatch.setattr(Streams, "before", asked)
    for address in (at("signals"), f"/api/houses/{oak.pk}/signals/"):
        assert client.get(address).status_code == 200
    assert seen == [False, False]


def test_a_house_without_signals_says_what_would_be_here(oak, ada, client_of, at):
    assert "When commands run" in text_of(client_of(ada).get(at("signals")))


def test_signals_that_cannot_be_read_are_said_to_be(committed, streams_at, oak, ada, client_of, at):
    streams_at("http://127.0.0.1:1")
    with inside(oak, ada):
        signals_of(oak.pk)
    assert "cannot be read right now" in text_of(client_of(ada).get(at("signals")))
    assert client_of(ada).get(f"/api/houses/{oak.pk}/signals/").status_code == 503


def test_the_api_pages_through_signals(witnessed, oak, ada, client_of):
    client, address = client_of(ada), f"/api/houses/{oak.pk}/signals/"
    whole = client.get(address).json()
    assert [one["type"] for one in whole["results"]] == ["signal.failure", "signal.command", "signal.command"]
    assert whole["next"] is None and whole["results"][0]["payload"]["part"] == "sandbox"
    first = client.get(address, {"limit": 2}).json()
    rest = client.get(address, {"limit": 2, "cursor": first["next"]}).json()
    assert first["results"] + rest["results"] == whole["results"] and rest["next"] is None
    for cursor in ("x", "\u0660" * 16 + "_" + "\u0660" * 16, "9" * 16 + "_" + "9" * 16):
        assert client.get(address, {"cursor": cursor}).status_code == 400, cursor
