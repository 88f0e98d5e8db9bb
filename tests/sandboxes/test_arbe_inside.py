"""The command `arbe` in a sandbox: what an agent says by it reaches arbe through the door."""

import dataclasses
import json
import shlex
import time

import pytest

from sandboxes.local import Local
from sandboxes.provider import Door
from tests.runtimes import runtime
from tests.sandboxes.test_provider_contract import Machine
from tests.sandboxes.upstream import Upstream
from threads.api.threads import ThreadSerializer
from threads.run_events import RunFinished

THREAD = "/api/houses/oak/threads/t1"
CHILD = dict.fromkeys(ThreadSerializer().fields) | {"id": "t2", "status": "running", "parent": "t1"}


def finished(reason, summary):
    """As it comes from the API: with every field that such an event has, and no other."""
    payload = dict.fromkeys(field.name for field in dataclasses.fields(RunFinished))
    return {"type": RunFinished.kind, "payload": payload | {"reason": reason, "summary": summary}}


class Api:
    """Answers by path; several answers to one path come one after the other, and the last one stays."""

    def __init__(self):
        self.answers = {}
        self.server = Upstream(self.answer)

    def answer(self, request, connection):
        path = request.path.partition("?")[0]
        given = self.answers.get(f"{request.method} {path}", [(404, {"detail": "There is no such thing."})])
        status, body = given.pop(0) if len(given) > 1 else given[0]
        text = json.dumps(body).encode()
        connection.sendall(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))

    @property
    def asked(self):
        return [(one.method, one.path, json.loads(one.body) if one.body else None) for one in self.server.asked]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    local = Local(tmp_path_factory.mktemp("inside") / "sandboxes", runtime("node"))
    if problem := local.check():
        pytest.skip(problem)
    machine = Machine(local, f"oak-{time.monotonic_ns()}")
    yield machine
    local.destroy(machine.ref)


@pytest.fixture
def api():
    api = Api()
    with api.server:
        yield api


@pytest.fixture
def arbe(machine, api):
    door = Door(prefix="arbe", url=api.server.url, headers={"Authorization": "Bearer of-the-run"})

    def say(*words, before=""):
        env = {"ARBE_HOUSE": "oak", "ARBE_THREAD": "t1"}
        command = f"{before}arbe {shlex.join(words)}"
        ended, output = machine.run(command, programs=True, doors=(door,), env=env)
        return ended.code, output

    return say


def test_a_task_is_handed_over(arbe, api):
    api.answers[f"POST {THREAD}/tasks/"] = [(201, CHILD)]
    assert arbe("delegate", "--bot", "@Scribe", "write", "it down") == (0, "thread t2\n")
    assert api.asked == [("POST", f"{THREAD}/tasks/", {"bot": "Scribe", "text": "write it down"})]
    assert api.server.asked[0].header("authorization") == "Bearer of-the-run"


def test_the_text_of_a_task_may_come_on_standard_input(arbe, api):
    api.answers[f"POST {THREAD}/tasks/"] = [(201, CHILD)]
    assert arbe("delegate", "-", before="printf 'a\\nlong one' | ")[0] == 0
    assert api.asked[0][2] == {"text": "a\nlong one"}


def test_a_task_can_be_waited_for(arbe, api):
    api.answers |= {
        f"POST {THREAD}/tasks/": [(201, CHILD)],
        "GET /api/houses/oak/threads/t2/": [(200, {"status": "running"}), (200, {"status": "failed"})],
        "GET /api/houses/oak/threads/t2/events/": [(200, {"events": [finished("Its key opens nothing.", "I begin.")]})],
    }
    assert arbe("delegate", "--wait", "do it") == (1, "thread t2\nfailed\nIts key opens nothing.\nI begin.\n")


def test_somebody_is_asked_and_something_is_said_and_made(arbe, api):
    for noun in ("questions", "messages"):
        api.answers[f"POST {THREAD}/{noun}/"] = [(201, {})]
    api.answers[f"POST {THREAD}/makes/"] = [(201, {"id": "m1", "target": "a.md", "status": "running", "reason": ""})]
    assert arbe("ask", "@Ada", "Which", "year?")[0] == 0
    assert arbe("say", "Here it is.") == (0, "")
    assert arbe("make", "a.md") == (0, "make m1 of a.md: running\n")
    assert api.asked == [
        ("POST", f"{THREAD}/questions/", {"on": "Ada", "question": "Which year?"}),
        ("POST", f"{THREAD}/messages/", {"text": "Here it is."}),
        ("POST", f"{THREAD}/makes/", {"target": "a.md"}),
    ]


def test_the_thread_is_read_from_where_it_is(arbe, api):
    event = {"seq": "7", "type": "message", "author_agent_id": "ada", "payload": {"text": "hello"}, "ts": "now"}
    page = {"events": [event], "next": "8", "up_to_date": False}
    api.answers[f"GET {THREAD}/events/"] = [(200, page)]
    code, output = arbe("read", "6")
    lines = output.splitlines()
    assert code == 0 and json.loads(lines[0]) == {
        "seq": "7",
        "type": "message",
        "by": "ada",
        "payload": {"text": "hello"},
    }
    assert lines[1] == "more: arbe read 8" and api.asked[0][1].endswith("events/?limit=100&after=6")


def test_no_is_the_sentence_that_arbe_says(arbe, api):
    api.answers[f"POST {THREAD}/tasks/"] = [(403, {"code": "forbidden", "detail": "Your run may not delegate."})]
    assert arbe("delegate", "more") == (1, "Your run may not delegate.\n")


def test_while_arbe_is_away_it_is_said_again_as_the_same_request(arbe, api):
    api.answers[f"POST {THREAD}/messages/"] = [(503, {}), (502, {}), (201, {})]
    assert arbe("say", "still here") == (0, "")
    assert len({one.header("idempotency-key") for one in api.server.asked}) == 1 and len(api.asked) == 3


@pytest.mark.parametrize("words", [(), ("dance",), ("delegate",), ("ask", "Ada", "x"), ("delegate", "--hard", "x")])
def test_what_it_does_not_understand_it_explains(arbe, api, words):
    code, output = arbe(*words)
    assert code in (1, 2) and "arbe delegate [--bot NAME]" in output and api.asked == []


def test_outside_a_run_there_is_no_way_to_arbe(machine):
    ended, output = machine.run("arbe say hello", programs=True)
    assert ended.code == 1 and output == "This command has no way to arbe.\n"
