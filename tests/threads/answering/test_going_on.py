"""A worker may die at any line: the next one goes on, nothing is told, asked or done twice, and a stop is a stop."""

import pytest

from houses.giving import give
from houses.models import Memory
from houses.tenancy import inside
from tests.agents.scenarios import say, tool
from threads.models import Command, Make

STORY = "One two three four five six seven eight nine ten."


@pytest.mark.parametrize(
    ("at", "moment", "asked"),
    [
        ("Watch.__call__", "return", 1),
        ("Answering._provider", "return", 1),
        ("Journal.note_told", "return", 1),
        ("Telling._note", "return", 2),
        ("Telling._append", "call", 2),
        ("Telling._append", "return", 2),
        ("Journal.note_said", "call", 2),
        ("Journal.note_said", "return", 1),
        ("Answering._rest", "call", 1),
        ("Answer.finish", "call", 1),
        ("Answer.finish", "return", 1),
    ],
)
def test_a_worker_that_is_killed_leaves_an_answer_that_is_told_once(talk, sage, ada, model, at, moment, asked):
    talk.say(f"@Sage {say('plain', text=STORY)}", by=ada)
    (answer,) = talk.waiting()
    talk.killed(answer, at, moment)
    ended = talk.answer()
    assert (ended["status"], ended["text"]) == ("completed", STORY)
    assert talk.streamed(answer.pk) == STORY and len(model.requests) == asked
    assert len(talk.finished()) == len(talk.events("thread_answer_begun")) == 1
    assert talk.row(answer).attempts == 2


def test_what_was_told_by_halves_is_told_otherwise_and_readers_have_the_whole_of_it(talk, sage, ada, model):
    talk.say(f"@Sage {say('hang')}", by=ada)
    (answer,) = talk.waiting()
    talk.killed(answer, "Telling._append", "return")
    first = talk.streamed(answer.pk)
    assert first and "Thinking about it".startswith(first)
    answering = talk.aside(answer)
    talk.until(lambda: talk.streamed(answer.pk) == "Thinking about it")
    with inside(talk.house, ada):
        answer.stop(by=ada)
    answering.join()
    (ended,) = talk.finished()
    assert (ended["status"], ended["code"], ended["text"]) == ("cancelled", "stopped", "Thinking about it")
    assert ended["reason"] == "Stopped by Ada."


@pytest.mark.parametrize(
    ("at", "moment"),
    [("remember", "return"), ("_hear", "call"), ("_hear", "return"), ("call", "return")],
)
def test_what_a_tool_wrote_down_is_written_down_once(talk, sage, oak, ada, model, at, moment):
    steps = [tool("remember", text="Tides turn at six.", subject="tides")]
    talk.say(f"@Sage {say('chain', steps=steps)}", by=ada)
    (answer,) = talk.waiting()
    talk.killed(answer, at, moment)
    assert talk.answer()["status"] == "completed"
    with inside(oak, ada):
        assert [memory.text for memory in Memory.objects.all()] == ["Tides turn at six."]
    assert len(talk.events("thread_answer_called")) == len(talk.events("thread_answer_heard")) == 1
    assert len(model.requests) == 2


def test_a_command_that_was_begun_is_waited_for_and_not_run_again(talk, worker, sage, oak, ada, model):
    talk.say(f"@Sage {say('shell', command='echo tides', then='It says {result}')}", by=ada)
    (answer,) = talk.waiting()
    talk.killed(answer, "its_output", "call")
    (command,) = worker.queued()
    answering = talk.aside(answer)
    worker.follow(command)
    answering.join()
    assert "tides" in talk.finished()[0]["text"]
    with inside(oak):
        assert Command.objects.count() == 1


def test_a_stop_ends_the_command_that_the_bot_waits_for(talk, worker, sage, oak, ada):
    talk.say(f"@Sage {say('slow')}", by=ada)
    (answer,) = talk.waiting()
    answering = talk.aside(answer)
    talk.until(worker.queued)
    (command,) = worker.queued()
    running = worker.aside(command)
    worker.until(command, "began")
    with inside(oak, ada):
        answer.stop(by=ada)
    answering.join()
    running.join()
    assert talk.finished()[0]["status"] == "cancelled"
    assert worker.payload(command, "command_finished")["status"] == "cancelled"


@pytest.fixture
def stale(worker, thread, repository, oak, ada):
    """A file that a command made of another, which has changed since."""
    with inside(oak, ada):
        repository.write("source.txt", b"a", by=ada)
    worker.run(thread, "cat source.txt > made.txt", by=ada)
    with inside(oak, ada):
        repository.write("source.txt", b"b", by=ada)
    return "made.txt"


@pytest.mark.parametrize("whose", ["its own", "somebody else's"])
def test_a_stop_ends_the_make_that_the_bot_waits_for_if_nobody_else_asked_for_it(
    talk, sage, stale, thread, oak, ada, whose
):
    if whose == "somebody else's":
        with inside(oak, ada):
            thread.make(stale, by=ada)
    talk.say(f"@Sage {say('chain', steps=[tool('make', target=stale)])}", by=ada)
    (answer,) = talk.waiting()
    answering = talk.aside(answer)
    talk.until(lambda: talk.events("thread_answer_called"))
    with inside(oak, ada):
        answer.stop(by=ada)
    answering.join()
    assert talk.finished()[0]["status"] == "cancelled"
    with inside(oak):
        (made,) = Make.objects.all()
        ended = ("cancelled", "Stopped by Ada.") if whose == "its own" else ("running", "")
        assert (made.status, made.reason) == ended


def test_one_that_has_not_begun_never_will(talk, sage, oak, ada, model):
    talk.say("@Sage?", by=ada)
    (answer,) = talk.waiting()
    with inside(oak, ada):
        answer.stop(by=ada)
        answer.stop(by=ada)
    assert talk.claim(answer) is None and model.requests == []
    (ended,) = talk.finished()
    assert ended["reason"] == "Stopped by Ada before it began."


def test_a_bot_that_is_sent_away_says_no_more(talk, sage, oak, ada, thread):
    talk.say(f"@Sage {say('hang')}", by=ada)
    (answer,) = talk.waiting()
    answering = talk.aside(answer)
    talk.until(lambda: talk.streamed(answer.pk))
    with inside(oak, ada):
        give(sage, thread, "r", by=ada)
    answering.join()
    (ended,) = talk.finished()
    assert ended["status"] == "cancelled" and "Sage may not write" in ended["reason"]


def test_a_worker_that_was_away_for_too_long_tells_nothing_more(talk, sage, ada):
    talk.say(f"@Sage {say('hang')}", by=ada)
    (answer,) = talk.waiting()
    first = talk.aside(answer)
    talk.until(lambda: talk.streamed(answer.pk))
    talk.lapse(answer)
    second = talk.aside(answer)
    first.join()
    with inside(talk.house, ada):
        answer.stop(by=ada)
    second.join()
    assert len(talk.finished()) == 1
