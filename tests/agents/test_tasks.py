"""A task in the hands of a real agent's program: what it does is told, kept, landed and remembered."""

import json

import pytest

from artifacts.models import Derivation
from houses.tenancy import inside
from tests.agents.model import KEY
from tests.agents.scenarios import say
from threads.models import Thread


@pytest.fixture
def sales(repository, oak, ada):
    with inside(oak, ada):
        repository.write("data.csv", b"name,count\napples,40\npears,2\n", by=ada)
        repository.write("other.csv", b"name,count\nplums,7\n", by=ada)


WALK = [
    "thread_opened",
    "message",
    "run_queued",
    "run_started",
    "signal.thread.status_changed",
    "signal.dispatch.session_started",
    "pi.tool_call",
    "pi.tool_result",
    "pi.assistant",
    "run_finished",
]


def test_it_writes_a_file_and_that_is_told_and_kept(crew, bot, thread, repository, oak, ada):
    run = crew.done(thread, "Write it down. " + say("write", content="hello\n"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    assert crew.statuses(run) == ["running", "completed"]
    with inside(oak):
        assert repository.read("out.txt") == b"hello\n"
    events = crew.events(run.thread)
    assert [kind for kind in dict.fromkeys(event["type"] for event in events) if kind in WALK] == WALK
    assert {event["author_agent_id"] for event in events if event["type"].startswith("pi.")} == {str(bot.pk)}
    finished = crew.payload(run, "run_finished")
    assert [(one["path"], one["change"]) for one in finished["changed"]] == [("out.txt", "added")]
    assert finished["summary"] == "Done: wrote out.txt."
    # Its parent knows whom it sent, and what came of it.
    spawned, ended = crew.payload(thread, "agent_spawn"), crew.payload(thread, "signal.thread.child_finished")
    assert spawned["child_thread_id"] == ended["child_thread_id"] == run.thread_id
    assert [ended[name] for name in ("status", "summary", "changed", "spent")] == [
        finished[name] for name in ("status", "summary", "changed", "spent")
    ]
    assert ended["spent"]["input"] > 0


def test_a_report_remembers_what_it_was_made_from(crew, bot, thread, sales, repository, oak, ada):
    run = crew.done(thread, say("report"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    with inside(oak):
        assert b"2 rows, 42 in all" in repository.read("report.md")
        made = Derivation.objects.get(path="report.md")
        read = {one.path for one in made.inputs.all() if one.path}
    assert "data.csv" in read and "other.csv" not in read


def test_a_tool_that_fails_is_no_failure_of_the_task(crew, bot, thread, ada):
    run = crew.done(thread, say("toolfail"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    result = crew.payload(run, "pi.tool_result")
    assert result["is_error"] and "oops" in result["text"]
    assert crew.payload(run, "run_finished")["changed"] == []


def test_the_key_opens_the_model_and_is_nowhere_else(crew, bot, thread, ada, model, var):
    looking = say("shell", command="env; cat /proc/self/environ; cat ~/.arbe/*/* 2>/dev/null; ps -ef 2>/dev/null; true")
    run = crew.done(thread, looking, bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    assert model.requests and {one.key for one in model.requests} == {KEY}
    assert KEY not in json.dumps([one.body for one in model.requests])
    assert KEY not in json.dumps(crew.events(run.thread)) + json.dumps(crew.events(thread))
    files = [path for path in var.rglob("*") if path.is_file()]
    assert files and [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in json.dumps(run.recipe) and not run.handed


def test_several_tasks_at_once_have_a_tree_each(crew, thread, repository, oak, ada, model):
    runs = [
        crew.hand(thread, say("write", file=f"{name}.txt", content=name), bot=crew.bot(name, name), by=ada)
        for name in ("pi", "claude-code", "codex")
    ]
    asides = [crew.aside(run) for run in runs]
    for aside in asides:
        aside.join()
    assert [crew.status(run) for run in runs] == [("completed", "")] * 3
    assert len({run.sandbox_id for run in runs}) == 3
    with inside(oak):
        assert [repository.read(f"{name}.txt") for name in ("pi", "claude-code", "codex")] == [
            b"pi",
            b"claude-code",
            b"codex",
        ]
        assert Thread.objects.filter(parent_thread_id=thread.pk, status="completed").count() == 3


def test_a_second_message_is_the_next_run_of_the_same_session(crew, bot, thread, ada, bo, model):
    first = crew.done(thread, say("write"), bot=bot, by=ada)
    crew.say(first, f"And now: {say('count')}", by=bo)
    second = crew.next(first)
    assert crew.status(second) == ("completed", "")
    assert "I was told 2 things" in crew.payload(second, "run_finished")["summary"]
    assert second.sandbox_id == first.sandbox_id
    assert crew.payload(second, "signal.dispatch.session_started")["resumed"]
    assert crew.statuses(first) + crew.statuses(second) == ["running", "completed", "running", "completed"]


def test_the_session_and_the_tree_are_there_again_after_the_machine_died(
    crew, bot, thread, ada, model, machines, repository, oak
):
    first = crew.done(thread, say("chain", steps=[{"shell": "echo kept > a.txt"}]), bot=bot, by=ada)
    crew.gone(first, machines)
    crew.say(first, say("chain", steps=[{"shell": "cat a.txt >> b.txt"}], then="{result}"), by=ada)
    second = crew.next(first)
    assert crew.status(second) == ("completed", "") and second.sandbox_id != first.sandbox_id
    assert len(model.requests[-1].told.users) == 2
    assert crew.events(second.thread, "sandbox_resumed")
    with inside(oak):
        assert repository.read("b.txt") == b"kept\n"
