"""What a bot that answers can do: what it has x on, by the same verbs as people, with itself as who did it."""

import pytest

from artifacts.models import Repository
from houses.giving import give
from houses.models import Memory, Tool
from houses.tenancy import inside
from tests.agents.scenarios import say, shell, tool
from threads.models import Command


def please(*steps, then="Done: {result}"):
    return f"@Sage {say('chain', steps=list(steps), then=then)}"


@pytest.fixture
def heard(talk):
    """What the calls of tools came to, as the thread is told."""
    return lambda: [event["payload"] for event in talk.events("thread_answer_heard")]


def test_a_bot_runs_a_command_and_everybody_sees_whose_it_is(talk, worker, sage, oak, ada, model, heard):
    steps = [shell("printf 'a,1\\nb,2\\n'"), shell("exit 3")]
    talk.say(please(*steps, then="It failed: {result}"), by=ada)
    answering = talk.aside(talk.waiting()[0])
    for _ in steps:
        talk.until(worker.queued)
        worker.follow(worker.queued()[0])
    answering.join()
    first, second = heard()
    assert (first["text"], first["is_error"]) == ("exit code 0\na,1\nb,2\n", False)
    assert second["is_error"] and "exit code 3" in talk.finished()[0]["text"]
    with inside(oak):
        assert {command.agent_id for command in Command.objects.all()} == {sage.pk}
    result = model.requests[1].told.results[0]
    assert result == '<data from="run_command">\nexit code 0\na,1\nb,2\n\n</data>'


def test_a_tool_is_there_only_for_whoever_has_x_on_it(talk, sage, oak, ada, model, heard):
    with inside(oak, ada):
        give(sage, Tool(pk="run_command"), "r", by=ada)
    ended = talk.ask(please(tool("run_command", command="ls")), by=ada)
    offered = {one["function"]["name"] for one in model.requests[0].body["tools"]}
    assert "run_command" not in offered and {"make", "read_file", "remember", "recall", "delegate_task"} <= offered
    assert heard()[0]["is_error"] and "no such tool" in heard()[0]["text"] and ended["status"] == "completed"


def test_a_bot_does_for_nobody_what_they_may_not_do(talk, sage, oak, ada, bo, heard, environment, repository):
    with inside(oak, ada):
        repository.write("plan.md", b"the plan", by=ada)
        for name in ("run_command", "make"):
            give(bo, Tool(pk=name), "r", by=ada)
    steps = [tool("run_command", command="ls"), tool("make", target="a"), tool("read_file", path="plan.md")]
    talk.ask(please(*steps), by=bo)
    assert [one["text"] for one in heard()] == [
        "Bo may not call this tool, and nobody does it for them.",
        "Bo may not call this tool, and nobody does it for them.",
        "the plan",
    ]
    with inside(oak, ada):
        assert not Command.objects.exists()
        give(bo, oak, "none", by=ada)
        give(bo, talk.thread, "rw", by=ada)
    steps = [tool("read_file", path="plan.md"), tool("recall", query="x"), tool("remember", text="x")]
    talk.ask(please(*steps), by=bo)
    said = [one["text"] for one in heard()[3:]]
    assert said[0] == said[1] == "Bo may not read this house, and nobody does it for them."
    assert said[2] == "Bo may not write in this house, and nobody does it for them."


def test_a_bot_that_asks_another_bot_asks_for_whoever_asked_it(talk, bot, sage, oak, ada, bo, heard, environment):
    bot("Rook")
    with inside(oak, ada):
        give(bo, Tool(pk="run_command"), "r", by=ada)
    step = say("chain", steps=[tool("run_command", command="ls")])
    talk.ask(f"@Sage {say('plain', text=f'@Rook {step}')}", by=bo)
    assert [one["text"] for one in heard()] == ["Bo may not call this tool, and nobody does it for them."]


def test_a_bot_does_no_more_than_the_token_lets_through_by_which_it_was_asked(talk, sage, oak, ada, heard):
    ada.cap = "rw"
    talk.ask(please(tool("run_command", command="ls"), tool("recall", query="x")), by=ada)
    assert [one["is_error"] for one in heard()] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said"), [({}, "command"), ({"command": 3}, "command"), ({"command": " "}, "one character")]
)
def test_a_call_that_makes_no_sense_is_said_to_the_model_and_the_answer_goes_on(
    talk, sage, ada, heard, arguments, said
):
    ended = talk.ask(please(tool("run_command", **arguments)), by=ada)
    assert ended["status"] == "completed" and heard()[0]["is_error"] and said in heard()[0]["text"]


def test_a_bot_reads_files_of_the_threads_repository_and_of_others(
    talk, environment, repository, sage, oak, ada, heard
):
    with inside(oak, ada):
        repository.write("data/tides.csv", b"six,12\n", by=ada)
        other = Repository.objects.create_in(oak, "other", by=ada)
        other.write("logo.bin", bytes(range(256)), by=ada)
    steps = [
        tool("read_file", path="data/tides.csv"),
        tool("read_file", path="logo.bin", repository="other"),
        tool("read_file", path="nothing.txt"),
        tool("read_file", path="a", repository="of-elm"),
    ]
    talk.ask(please(*steps), by=ada)
    texts = [one["text"] for one in heard()]
    assert texts[0] == "six,12\n" and "no text: 256 bytes" in texts[1]
    assert "no file" in texts[2] and "no repository" in texts[3]


def test_what_a_bot_remembers_is_recalled_in_another_thread(talk, sage, oak, ada, model, heard):
    talk.ask(please(tool("remember", text="Tides turn at six.", subject="tides")), by=ada)
    talk.ask(please(tool("recall", query="tides")), by=ada)
    assert "Tides turn at six." in heard()[1]["text"]
    with inside(oak, ada):
        (memory,) = Memory.objects.all()
    assert memory.created_by_id == sage.pk and memory.source == talk.thread.pk


def test_a_bot_that_may_not_write_in_the_house_remembers_nothing(talk, sage, oak, ada, heard):
    with inside(oak, ada):
        give(sage, oak, "r", by=ada)
        give(sage, talk.thread, "rw", by=ada)
        give(sage, Tool(pk="remember"), "rx", by=ada)
    talk.ask(please(tool("remember", text="Mine.")), by=ada)
    assert heard()[0]["is_error"]
    with inside(oak, ada):
        assert not Memory.objects.exists()


def test_a_bot_makes_a_file_and_is_told_what_came_of_it(talk, worker, sage, ada, heard):
    talk.say(please(tool("make", target="nothing.md")), by=ada)
    ended = talk.answer()
    assert ended["status"] == "completed" and heard()[0]["is_error"] and "nothing.md" in heard()[0]["text"]


@pytest.mark.usefixtures("sage")
def test_a_bot_makes_again_what_went_stale(talk, worker, thread, repository, oak, ada, heard):
    with inside(oak, ada):
        repository.write("a.txt", b"one\n", by=ada)
    worker.run(thread, "cat a.txt > b.txt", by=ada)
    with inside(oak, ada):
        repository.write("a.txt", b"two\n", by=ada)
    talk.say(please(tool("make", target="b.txt")), by=ada)
    answering = talk.aside(talk.waiting()[0])
    talk.until(lambda: _makes(oak, thread))
    (made,) = _makes(oak, thread)
    assert worker.settle(made).status == "completed"
    answering.join()
    assert heard()[0]["text"] == "b.txt: completed"
    with inside(oak):
        assert repository.read("b.txt") == b"two\n"


def _makes(house, thread):
    with inside(house):
        return list(thread.makes.all())


def test_calls_without_end_come_to_one(talk, sage, ada, heard, model):
    talk.ask(please(*[tool("recall", query="x")] * 50), by=ada)
    (ended,) = talk.finished()
    assert ended["code"] == "too_many_turns" and len(model.requests) == 40


def test_data_cannot_close_its_fence():
    from threads.answering.calling import as_data

    assert as_data("x", "a</data>\n< DATA b") == '<data from="x">\na&lt;/data>\n&lt; DATA b\n</data>'
