"""Who is called, and who hears of it: coding bots get a task, people an entry, workers a ring."""

import django_rq
import pytest

from houses.bots import Bot
from houses.tenancy import inside
from tests.agents.impostors import SILENT, install
from tests.agents.scenarios import say, tool
from tests.houses.furniture import sql
from threads import jobs
from threads.models import Answer, Command, InboxEntry, Thread


@pytest.fixture
def programs(settings, tmp_path):
    settings.RUNTIMES = install(tmp_path / "programs", "pi", SILENT)


@pytest.fixture
def children(oak, thread):
    def found():
        with inside(oak):
            return list(Thread.objects.filter(parent_thread=thread))

    return found


@pytest.mark.usefixtures("environment", "programs")
def test_a_coding_bot_that_is_mentioned_is_handed_the_message_as_a_task(talk, bot, oak, ada, children):
    pia = bot("Pia", runtime="pi")
    talk.say("@Pia count the pears", by=ada)
    (child,) = children()
    assert child.agent_id == pia.pk and talk.waiting() == []
    with inside(oak):
        (run,) = Command.objects.runs()
    assert (run.text, run.agent_id) == ("@Pia count the pears", ada.pk)


@pytest.mark.usefixtures("environment")
def test_a_coding_bot_that_cannot_work_says_why(talk, bot, ada, children, settings, tmp_path):
    settings.RUNTIMES = tmp_path
    bot("Pia", runtime="pi")
    talk.say("@Pia count the pears", by=ada)
    (ended,) = talk.finished()
    assert ended["status"] == "failed" and "runtimes install pi" in ended["reason"] and children() == []


@pytest.mark.usefixtures("environment", "programs", "sage")
def test_a_bot_that_answers_hands_on_a_task_and_does_not_wait_for_it(talk, bot, oak, ada, children):
    pia = bot("Pia", runtime="pi")
    steps = [
        tool("delegate_task", agent="pia", prompt="Count the pears."),
        tool("delegate_task", agent="Mo", prompt="x"),
    ]
    ended = talk.ask(f"@Sage {say('chain', steps=steps)}", by=ada)
    (child,) = children()
    first, second = [event["payload"] for event in talk.events("thread_answer_heard")]
    assert child.agent_id == pia.pk and f"/threads/{child.pk}/" in first["text"]
    assert second["is_error"] and "no bot" in second["text"] and ended["status"] == "completed"


def test_people_who_are_named_find_it_in_their_inbox_whoever_says_it(talk, sage, oak, ada, bo):
    talk.ask(f"@Bo look; @Sage {say('plain', text='@Ada it is done, @bo')}", by=ada)
    with inside(oak):
        found = sorted((str(entry.agent), str(entry.by)) for entry in InboxEntry.objects.filter(kind="mention"))
    assert found == [("Ada", "Sage"), ("Bo", "Ada"), ("Bo", "Sage")]


def test_whoever_asked_finds_a_failure_in_their_inbox(talk, sage, oak, ada):
    ended = talk.ask(f"@Sage {say('empty')}", by=ada)
    with inside(oak):
        (entry,) = InboxEntry.objects.all()
    assert (entry.agent_id, entry.kind, entry.text) == (ada.pk, "failed", ended["reason"])


def test_a_worker_is_called_and_answers_aside(talk, sage, oak, ada):
    queue = django_rq.get_queue("commands")
    queue.empty()
    talk.say("@Sage?", by=ada)
    (job,) = queue.jobs
    assert job.func_name == "threads.jobs.answer"
    jobs.answer(*job.args)
    jobs.answer(*job.args)
    talk.until(talk.finished)
    assert len(talk.finished()) == 1


def test_whoever_was_called_and_never_came_is_called_again(talk, sage, oak, ada):
    talk.say("@Sage?", by=ada)
    queue = django_rq.get_queue("commands")
    queue.empty()
    jobs.sweep()
    assert queue.jobs == []
    with inside(oak):
        sql("UPDATE answers SET created_at = now() - interval '1 minute'")
    jobs.sweep()
    jobs.sweep()
    assert [job.func_name for job in queue.jobs] == ["threads.jobs.answer"]


def test_what_waited_behind_another_answer_is_called_when_that_rests(talk, sage, oak, ada):
    talk.say("@Sage one", by=ada)
    talk.say("@Sage two", by=ada)
    first, second = talk.waiting()
    queue = django_rq.get_queue("commands")
    queue.empty()
    with inside(oak, ada):
        first.stop(by=ada)
    assert [job.args[1] for job in queue.jobs] == [second.pk]


def test_stopping_a_thread_stops_the_bots_that_answer_in_it(talk, sage, oak, ada, thread):
    talk.say(f"@Sage {say('hang')}", by=ada)
    talk.say("@Sage two", by=ada)
    first, _ = talk.waiting()
    answering = talk.aside(first)
    talk.until(lambda: talk.streamed(first.pk))
    with inside(oak, ada):
        thread.stop(by=ada)
    answering.join()
    assert [one["status"] for one in talk.finished()] == ["cancelled", "cancelled"]
    assert talk.waiting() == []


def test_one_that_no_worker_manages_is_given_up(talk, sage, oak, ada, model):
    talk.say("@Sage?", by=ada)
    (answer,) = talk.waiting()
    with inside(oak):
        Answer.objects.filter(pk=answer.pk).update(attempts=8)
    assert "failed to answer, 8 times" in talk.answer()["reason"] and model.requests == []


def test_a_budget_that_is_spent_stops_the_answer_and_keeps_what_was_said(talk, sage, oak, ada, model):
    from houses.models import Budget

    with inside(oak, ada):
        Budget.objects.create(house=oak, agent=sage, run_tokens=15)
    ended = talk.ask(f"@Sage {say('chain', steps=[tool('recall', query='x')])}", by=ada)
    assert (ended["status"], ended["code"]) == ("failed", "budget") and len(model.requests) == 1
    assert ended["spent"]["input"] == 11
    with inside(oak):
        assert Bot.objects.of(sage) is not None
