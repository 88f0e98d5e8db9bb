"""What a real agent asks of arbe from inside its sandbox, with the command `arbe`, in its run's name."""

import threading
from wsgiref.simple_server import WSGIRequestHandler

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application

from houses.tenancy import inside
from tests.agents.scenarios import say
from threads.models import InboxEntry, Thread


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def served(committed, settings):
    """arbe's own API, at an address that the door of a run leads to."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(get_wsgi_application())
    settings.ARBE_URL = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join(20)


def test_a_task_hands_on_a_part_of_it(crew, bot, thread, ada, repository, oak):
    crew.bot("Cody", "codex")
    run = crew.done(thread, say("delegate", bot="Cody", text=f"Write it. {say('write')}"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", ""), crew.payload(run, "run_finished")
    with inside(oak):
        (below,) = Thread.objects.filter(parent_thread_id=run.thread_id)
    part = crew.last(below)
    assert (part.agent_id, part.depth, part.recipe["above"]) == (bot.pk, 1, run.pk)
    assert below.pk in crew.payload(run, "run_finished")["summary"]
    crew.follow(part)
    assert crew.status(part) == ("completed", "")
    assert crew.payload(run.thread, "signal.thread.child_finished")["child_thread_id"] == below.pk
    with inside(oak):
        assert repository.read("out.txt") == b"hello from the agent\n"


@pytest.mark.parametrize("agent", ["pi"], indirect=True)
def test_a_task_for_nobody_is_refused_with_a_sentence(crew, bot, thread, ada):
    run = crew.done(thread, say("delegate", bot="Nobody", text="Do it."), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    assert "There is no bot 'Nobody' in this house" in crew.payload(run, "pi.tool_result")["text"]


@pytest.mark.parametrize("agent", ["pi"], indirect=True)
def test_it_asks_somebody_and_goes_on_with_the_answer(crew, bot, thread, ada, bo, oak, model):
    run = crew.done(thread, say("ask", whom="Bo", question="Which of them?"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    waiting = crew.payload(run, "signal.dispatch.pi_waiting")
    assert (waiting["on"], waiting["question"]) == (str(bo.pk), "Which of them?")
    with inside(oak, bo):
        assert [one.text for one in InboxEntry.objects.filter(agent=bo, kind="waiting")] == ["Which of them?"]
    crew.say(run, f"The second. {say('count')}", by=bo)
    assert crew.status(crew.next(run)) == ("completed", "")
    assert "The second." in model.requests[-1].user


@pytest.mark.parametrize("agent", ["pi"], indirect=True)
def test_what_it_says_is_said_by_the_bot(crew, bot, thread, ada):
    run = crew.done(thread, say("shell", command="arbe say 'Half of it is done.'"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    said = [(event["author_agent_id"], event["payload"]["text"]) for event in crew.events(run.thread, "message")]
    assert said[1:] == [(str(bot.pk), "Half of it is done.")]
