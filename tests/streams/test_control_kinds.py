"""What arbe says of itself is said by arbe alone: of the catalogue's kinds only `message` comes in from outside."""

import importlib
import json

import pytest
from django.db import connections

from houses.models import Token
from houses.tenancy import inside
from streams.envelope import CONTROL
from streams.events import CATALOGUE
from tests.api.conftest import Api
from tests.streams.street import KEY, Street, running
from threads.models import Thread

for app in ("threads", "sandboxes", "streams"):
    importlib.import_module(f"{app}.{'signals' if app == 'streams' else 'events'}")  # where kinds are declared

KINDS = sorted(set(CATALOGUE) - {"message"})
COMING = ["pi.message", "pi.tool.call", "signal.anything", "command_vanished", "thread_", "make_x", "artifact_x.y"]
ODD = [
    change
    for kind in ("thread_closed", "signal.make", "agent_spawn")
    for change in (
        kind.upper(),
        kind.title(),
        kind + "\n",
        kind + "\0",
        " " + kind,
        kind + " ",
        kind + "\u200b",
        kind.replace("a", "\u0430"),  # Cyrillic
        kind.replace("s", "\u017f"),  # which is an s in capitals
        kind.replace(".", "\uff0e").replace("_", "\uff3f"),  # full width
        "\ufeff" + kind,
        kind + "\u0301",
    )
]
SAID = {"type": "message", "payload": {"text": "harmless"}}


class Log(Street):
    """A thread's, and the bot who would write it."""

    def __init__(self, url, thread, token):
        super().__init__(url, thread.house_id)
        self.thread, self.bot = thread, self.holding(token)
        self.path = self.at(thread.stream_id)
        self.arbe.put(self.path, headers={"Arbe-Envelope": "true"}).raise_for_status()

    def post(self, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.bot.post(self.path, content=content, headers={"Content-Type": "application/json"} | headers)

    def kinds(self):
        return [event["type"] for event in self.arbe.get(self.path).json()]


@pytest.fixture
def thread(oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="Weather")


@pytest.fixture
def log(committed, oak, ada, scribe, thread, tmp_path, monkeypatch, settings):
    settings.STREAMS_KEY = KEY
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    with inside(oak, ada):
        token = Token.objects.mint(scribe, "for a test", by=ada)[1]
    with running(tmp_path / "streams") as url:
        log = Log(url, thread, token)
        yield log
        log.close()


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def test_the_whole_catalogue_is_arbes_own():
    """A new kind falls under the rule on the day it is declared, or this fails."""
    assert len(KINDS) > 20
    assert [kind for kind in KINDS if not CONTROL.fullmatch(kind)] == []


def test_no_kind_of_the_catalogue_comes_in(log):
    for kind in [*KINDS, *COMING]:
        assert refusal(log.post({"type": kind, "payload": {}})) == (403, "control_kind"), kind
        assert refusal(log.post({"type": kind})) == (403, "control_kind"), kind
    assert log.kinds() == []


def test_one_of_them_among_others_keeps_all_out(log):
    for kind in KINDS:
        event = {"type": kind, "payload": {}}
        for batch in ([event, SAID], [SAID, event], [SAID] * 50 + [event]):
            assert refusal(log.post(batch)) == (403, "control_kind"), kind
    assert log.kinds() == []
    producer = {"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0"}
    assert refusal(log.post([SAID, {"type": "thread_closed"}], **producer)) == (403, "control_kind")
    assert log.post([SAID], **producer).status_code == 200  # and what was refused took no number
    assert log.kinds() == ["message"]


def test_nor_does_one_that_only_looks_like_them(log):
    for kind in ODD:
        answer = log.post({"type": kind, "payload": {}})
        assert answer.status_code in (400, 403), kind
    assert log.kinds() == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "message", "payload": {"text": "x"}, "type": "thread_closed"}',
        b'{"type": "thread\\u005fclosed", "payload": {}}',
        b'{"\\u0074ype": "thread_closed", "payload": {}}',
        b'[[{"type": "thread_closed", "payload": {}}]]',
        b'{"type": ["thread_closed"], "payload": {}}',
        b'{"type": {"$ne": 1}, "payload": {}}',
        b'{"type": null}',
        b'{"Type": "thread_closed", "type": "deploy.done", "payload": {}}',
        b'{"type": "deploy.done", "payload": {}, "seq": "0000000000000000_0000000000000000"}',
        b'{"type": "deploy.done", "payload": {}, "stream_id": "another"}',
        b'{"type": "message", "payload": {"text": "x", "type": "thread_closed"}}',
        '{"type": "thread_closed"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"type": "thread_closed"}',
        b'{"type": "thread_closed"}\n{"type": "deploy.done"}',
    ],
)
def test_nor_one_that_is_hidden_in_the_text(log, body):
    assert log.post(body).status_code in (400, 403)
    assert log.kinds() == []


def test_nor_in_somebody_elses_name_or_at_another_time(log, ada, scribe):
    for more in ({"author_agent_id": str(ada.pk)}, {"author_agent_id": None}, {"ts": "2020-01-01T00:00:00Z"}):
        assert log.post(SAID | more).status_code == 400
    assert log.post([SAID, {"type": "deploy.done", "payload": {"author_agent_id": str(ada.pk)}}]).status_code == 204
    assert {event["author_agent_id"] for event in log.arbe.get(log.path).json()} == {str(scribe.pk)}
    assert log.kinds() == ["message", "deploy.done"]


def test_nor_by_another_method_or_another_type(log):
    event = json.dumps({"type": "thread_closed", "payload": {}}).encode()
    for method in ("PUT", "PATCH", "DELETE"):
        answer = log.bot.request(method, log.path, content=event, headers={"Content-Type": "application/json"})
        assert answer.status_code in (403, 405)
    for content_type in ("text/plain", "application/octet-stream", "application/json-seq", "application/x-ndjson"):
        answer = log.bot.post(log.path, content=event, headers={"Content-Type": content_type})
        assert answer.status_code == 409
    odd = {"Content-Type": "APPLICATION/JSON; charset=utf-7"}
    assert refusal(log.bot.post(log.path, content=event, headers=odd)) == (403, "control_kind")
    with_envelope = {"Content-Type": "application/json", "Arbe-Envelope": "false"}
    assert refusal(log.bot.post(log.path, content=event, headers=with_envelope)) == (403, "control_kind")
    assert log.kinds() == []


def test_the_api_takes_words_and_no_events(oak, ada, thread, told):
    with inside(oak, ada):
        api = Api(oak, Token.objects.mint(ada, "for a test", by=ada)[1])
    here = f"threads/{thread.pk}/"
    assert api.refused("POST", f"{here}events/", {"type": "thread_closed"}) == (405, "method_not_allowed")
    for sent in ({"type": "thread_closed", "text": "x"}, {"text": "x", "payload": {}}, {"text": {"type": "x"}}):
        assert api.refused("POST", f"{here}messages/", sent) == (400, "invalid")
    api.ok("POST", f"{here}messages/", {"text": '{"type": "thread_closed"}'}, 201)
    assert [event["type"] for event in told(thread)] == ["thread_opened", "message"]
