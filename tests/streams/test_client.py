"""The client's contract, at our own server and at upstream's, in memory and on disk: what holds at one holds at all."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from streams.client import AsyncStreams, Producer, StreamError, Streams
from streams.wire import MOST_BODY
from tests.streams.processes import NODE, NODE_ON_DISK, OURS, running

ENVELOPE = {"seq", "stream_id", "author_agent_id", "type", "payload", "ts"}


@pytest.fixture(scope="module", params=[OURS, NODE, NODE_ON_DISK])
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("streams")) as server:
        yield server


@pytest.fixture
def talk(request):
    """A stream of its own for each test."""
    return f"talk-{abs(hash(request.node.name)):x}"


@pytest.fixture
def client(server, talk):
    with Streams(server.url, patience=5) as client:
        client.create("oak", talk)
        yield client


@pytest.fixture
def stranger(server):
    """A client that has read nothing yet."""
    with Streams(server.url_of_others, patience=5) as client:
        yield client


def message(text):
    return {"type": "message", "payload": {"text": text}, "author_agent_id": "ada"}


def texts(events):
    return [event["payload"]["text"] for event in events]


def forward(client, talk, limit, offset="-1"):
    """All pages from an offset on, and that none says more than was asked for."""
    events, page = [], None
    while page is None or not page.up_to_date:
        page = client.read("oak", talk, page.next if page else offset, limit)
        assert len(page.events) <= limit
        events += page.events
    return events


def backward(client, talk, limit, offset="now"):
    events = []
    while offset is not None:
        page = client.before("oak", talk, offset, limit)
        assert len(page.events) <= limit
        events, offset = page.events + events, page.prev
    return events


def test_creating_twice_is_the_same(client, talk):
    client.append("oak", talk, [message("a")])
    client.create("oak", talk)
    assert texts(client.read("oak", talk).events) == ["a"]


def test_an_append_says_whether_it_was_a_repetition(client, talk):
    first = client.append("oak", talk, [message("a")], Producer("p", 0, 0))
    again = client.append("oak", talk, [message("a")], Producer("p", 0, 0))
    assert (first.duplicate, again.duplicate) == (False, True)
    assert client.append("oak", talk, [message("b")]).duplicate is False
    assert texts(client.read("oak", talk).events) == ["a", "b"]


def test_an_append_says_where_to_go_on_where_the_server_knows(server, client, talk):
    appended = client.append("oak", talk, [message("a")])
    client.append("oak", talk, [message("b")])
    assert (appended.next is None) == (server.kind != OURS)
    if appended.next:
        assert texts(client.read("oak", talk, appended.next).events) == ["b"]


def test_events_come_in_their_envelopes(client, talk):
    told = message("a") | {"ts": "2026-01-02T03:04:05.678Z"}
    client.append("oak", talk, [told, {"type": "deploy.done"}], Producer("p", 0, 0))
    first, second = client.read("oak", talk).events
    assert first == told | {"stream_id": talk, "seq": first["seq"]}
    assert second.keys() == ENVELOPE and second["payload"] == {} and second["author_agent_id"] is None
    assert abs(datetime.now(UTC) - datetime.fromisoformat(second["ts"])) < timedelta(seconds=10)


@pytest.mark.parametrize("wrong", [{"payload": {}}, {"type": "message", "text": "a"}, {"type": 5}])
def test_what_is_no_event_is_refused(client, talk, wrong):
    with pytest.raises(StreamError) as refused:
        client.append("oak", talk, [message("fine"), wrong], Producer("p", 0, 0))
    assert (refused.value.code, refused.value.permanent) == ("malformed", True)
    assert client.read("oak", talk).events == []


def test_reading_forward_and_backward(client, talk):
    client.append("oak", talk, [message(text) for text in "abcde"])
    page = client.read("oak", talk, limit=2)
    assert (texts(page.events), page.up_to_date) == (["a", "b"], False)
    page = client.before("oak", talk, limit=2)
    assert (texts(page.events), page.up_to_date) == (["d", "e"], True)
    page = client.before("oak", talk, page.prev, limit=5)
    assert (texts(page.events), page.prev) == (["a", "b", "c"], None)


def test_an_empty_stream_has_pages_too(client, talk):
    assert client.before("oak", talk).events == client.read("oak", talk).events == []
    page = client.head("oak", talk)
    client.append("oak", talk, [message("a")])
    assert texts(client.read("oak", talk, page.next).events) == ["a"]


def test_any_seq_is_where_to_read_on_from_in_both_directions(client, stranger, talk):
    for batch in ("ab", "c", "defg", "h"):
        client.append("oak", talk, [message(text) for text in batch])
    events = client.read("oak", talk).events
    seqs = [event["seq"] for event in events]
    assert texts(events) == list("abcdefgh") and seqs == sorted(set(seqs))
    for reader in (client, stranger):
        for at, seq in enumerate(seqs):
            assert reader.read("oak", talk, seq).events == events[at + 1 :]
            assert reader.before("oak", talk, seq).events == events[: at + 1]
            assert forward(reader, talk, 3, seq) == events[at + 1 :]
            assert backward(reader, talk, 3, seq) == events[: at + 1]


def test_a_stranger_begins_anywhere(client, stranger, talk):
    client.append("oak", talk, [message(text) for text in "abcd"])
    third = client.read("oak", talk).events[2]
    assert texts(stranger.read("oak", talk, third["seq"]).events) == ["d"]
    assert stranger.before("oak", talk, third["seq"], 1).events == [third]


def test_what_was_read_says_nothing_against_what_comes(client, stranger, talk):
    for text in "abcd":
        client.append("oak", talk, [message(text)])
        assert texts(stranger.before("oak", talk, limit=1).events) == [text]
        page = client.read("oak", talk)
        assert page.up_to_date and texts(page.events)[-1] == text
        assert client.head("oak", talk).next == page.next == page.events[-1]["seq"]


def test_a_stream_that_is_longer_than_memory(client, talk):
    for batch in range(30):
        client.append("oak", talk, [message(f"{batch} {n} {'x' * 10_000}") for n in range(10)])
    events = forward(client, talk, 40)
    assert [text.split()[:2] for text in texts(events)] == [[str(n // 10), str(n % 10)] for n in range(300)]
    assert backward(client, talk, 70) == events
    assert client.read("oak", talk, events[5]["seq"], 3).events == events[6:9]


def test_an_offset_that_was_never_given_out(client, talk):
    client.append("oak", talk, [message("a")])
    for wrong in ("7", "0000000000000009_0000000000000000", "x"):
        with pytest.raises(StreamError) as refused:
            client.read("oak", talk, wrong)
        assert (refused.value.status, refused.value.code) == (400, "malformed")


def test_refusals_say_whether_asking_again_can_help(client, talk):
    for ask in (client.read, client.head, client.before):
        with pytest.raises(StreamError) as refused:
            ask("oak", "nothing")
        assert (refused.value.code, refused.value.permanent) == ("not_found", True)
    with pytest.raises(StreamError) as refused:
        client.append("oak", talk, [message("x")], Producer("p", 0, 5))
    assert (refused.value.code, refused.value.permanent) == ("producer_gap", True)
    client.append("oak", talk, [message("x")], Producer("p", 3, 0))
    with pytest.raises(StreamError) as refused:
        client.append("oak", talk, [message("x")], Producer("p", 2, 0))
    assert (refused.value.code, refused.value.headers["producer-epoch"]) == ("producer_fenced", "3")


def test_a_closed_stream_says_so(client, talk):
    client.append("oak", talk, [message("last")])
    client.shut("oak", talk)
    client.shut("oak", talk)
    page = client.read("oak", talk)
    assert (texts(page.events), page.closed) == (["last"], True)
    assert client.head("oak", talk).closed
    with pytest.raises(StreamError, match="closed") as refused:
        client.append("oak", talk, [message("later")])
    assert refused.value.code == "closed"


def test_a_deleted_stream_is_gone_for_those_who_read_it_too(client, talk):
    client.append("oak", talk, [message("a")])
    client.read("oak", talk)
    client.delete("oak", talk)
    client.delete("oak", talk)
    with pytest.raises(StreamError) as refused:
        client.before("oak", talk)
    assert refused.value.code == "not_found"


def test_more_than_the_server_takes_in_one_request_is_refused_whole(server, client, talk):
    events = [message("x" * 1000) for _ in range(MOST_BODY // 1000 + 10)]
    if server.kind != OURS:  # upstream takes anything
        client.append("oak", talk, events, Producer("p", 0, 0))
        assert len(client.read("oak", talk).events) == len(events)
        return
    with pytest.raises(StreamError, match=r"[A-Z].*\.") as refused:
        client.append("oak", talk, events, Producer("p", 0, 0))
    assert (refused.value.code, refused.value.permanent) == ("too_large", True)
    assert client.read("oak", talk).events == []


@pytest.mark.parametrize("begin", ["-1", "now", "second"])
async def test_a_tail_hears_each_event_once_and_ends_with_the_stream(server, client, talk, begin):
    client.append("oak", talk, [message("a"), message("b")])
    if begin == "second":
        begin, expected = client.read("oak", talk).events[1]["seq"], "cde"
    else:
        expected = "abcde" if begin == "-1" else "cde"
    async with AsyncStreams(server.url) as streams:
        heard = []

        async def listen():
            async for page in streams.tail("oak", talk, begin):
                heard.extend(page.events)

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        for text in "cde":
            await streams.append("oak", talk, [message(text)])
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)  # longer than a poll waits
        await asyncio.to_thread(client.shut, "oak", talk)
        await asyncio.wait_for(listening, 5)
        assert texts(heard) == list(expected)
        assert heard == (await streams.read("oak", talk)).events[-len(expected) :]
