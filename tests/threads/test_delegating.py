"""Handing work to a coding agent: rows and events, before any program has started."""

import pytest

from houses.bots import NotReady
from houses.giving import give
from houses.models import Agent, Bot, Grant, Member
from houses.refusals import Forbidden, Invalid, NotFound, Refused, TooLarge
from houses.tenancy import inside
from houses.tools import DELEGATE_TASK, Tool
from sandboxes.models import Environment, Sandbox
from tests.agents.impostors import SILENT, install
from threads.commands import Command
from threads.delegating import bot_named
from threads.models import InboxEntry, Thread, WaitingMessage
from threads.placing import MOST_BELOW_A_RUN, MOST_DEPTH, BeingStopped, TooManyTasks
from threads.waiting import AlreadySent
from threads.working import NoEnvironment


@pytest.fixture
def programs(settings, tmp_path):
    settings.RUNTIMES = install(tmp_path / "programs", "pi", SILENT)


@pytest.fixture
def pia(oak, ada, programs):
    bot = Agent.objects.create_bot("Pia", "pi")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=bot, role="member")
        Bot.objects.create(house=oak, agent=bot, model="m", address="http://127.0.0.1:1/v1")
    return bot


def at_work(run):
    """As if its agent had been started."""
    Command.objects.filter(pk=run.pk).update(status="running")
    Thread.objects.filter(pk=run.thread_id).update(status="running")


@pytest.fixture
def child(oak, ada, thread, pia, environment):
    with inside(oak, ada):
        return thread.delegate("Count the pears.\nAll of them.", bot=pia, by=ada)


@pytest.fixture
def run(oak, child):
    with inside(oak):
        run = Command.objects.runs().get(thread=child)
        at_work(run)
        return run


def test_the_row_of_the_child_comes_before_the_event_that_names_it(told, child, thread, pia, ada, oak):
    with inside(oak):
        child.refresh_from_db()
        assert (child.status, child.agent_id, child.parent_thread_id) == ("idle", pia.pk, thread.pk)
        assert child.sandbox_id is None and child.name == "Count the pears."
        run = Command.objects.runs().get(thread=child)
    assert [event["payload"] for event in told(thread) if event["type"] == "agent_spawn"] == [
        {"child_thread_id": child.pk, "bot_id": str(pia.pk)}
    ]
    kinds = [event["type"] for event in told(child)]
    assert kinds == ["thread_opened", "message", "run_queued"]
    assert (run.agent_id, run.bot_id, run.status, run.depth) == (ada.pk, pia.pk, "queued", 0)
    assert run.recipe["prompt"] == run.text and run.recipe["model"] == "m" and run.recipe["runtime"] == "pi"


def test_what_the_bot_is_was_frozen(child, pia, oak, ada):
    with inside(oak, ada):
        Bot.objects.filter(agent=pia).update(model="another", system_prompt="Be brief.")
        run = Command.objects.runs().get(thread=child)
    assert run.recipe["model"] == "m" and run.recipe["system_prompt"] == ""


def test_the_recipe_of_its_machine_is_the_calls_else_the_threads_else_the_houses(oak, ada, thread, pia, environment):
    with inside(oak, ada):
        assert thread.delegate("x", bot=pia, by=ada).environment_id == environment.pk
        config = {"repository": environment.repository.pk}
        other = Environment.objects.create_in(oak, "other", by=ada, config=config, secret_bindings=[])
        assert thread.delegate("x", bot=pia, by=ada, environment=other).environment_id == other.pk


def test_without_any_recipe_it_says_so_and_leaves_nothing(oak, ada, thread, pia):
    with inside(oak, ada):
        with pytest.raises(NoEnvironment):
            thread.delegate("x", bot=pia, by=ada)
        assert not Command.objects.exists() and Thread.objects.count() == 1


def test_a_machine_is_shared_on_purpose_alone(oak, ada, thread, pia, environment):
    with inside(oak, ada):
        sandbox = Sandbox.objects.born(environment)
        assert thread.delegate("x", bot=pia, by=ada, sandbox=sandbox).sandbox_id == sandbox.pk


def test_who_cannot_do_a_task_is_not_given_one(oak, ada, bo, thread, environment, pia, scribe, cy):
    stranger = Agent.objects.create_bot("Stranger", "pi")
    with inside(oak, ada):
        chatty = Agent.objects.create_bot("Chatty", "chat")
        Member.objects.create(house=oak, agent=chatty, role="member")
        for bot, refused, word in (
            (bo, Invalid, "person"),
            (stranger, Forbidden, "not in this house"),
            (chatty, Invalid, "only answers"),
        ):
            with pytest.raises(refused, match=word):
                thread.delegate("x", bot=bot, by=ada)
        assert not Command.objects.exists()


def test_a_bot_is_found_by_its_name_or_not_at_all(oak, ada, pia):
    with inside(oak, ada):
        assert bot_named("@pia") == bot_named(str(pia.pk)) == pia
        with pytest.raises(NotFound, match="Settings → Agents"):
            bot_named("Nobody")


@pytest.mark.parametrize(
    ("settings_of", "word"),
    [({"model": ""}, "no model"), ({"address": ""}, "no model"), ({"key_secret": "GONE"}, "GONE")],
)
def test_a_bot_that_is_not_set_up_says_what_to_do(oak, ada, thread, environment, pia, settings_of, word):
    with inside(oak, ada):
        Bot.objects.filter(agent=pia).update(**settings_of)
        with pytest.raises(Refused, match=word):
            thread.delegate("x", bot=pia, by=ada)


def test_a_program_that_is_not_installed_or_speaks_otherwise_is_named(oak, ada, thread, environment, programs):
    codex = Agent.objects.create_bot("Cody", "codex")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=codex, role="member")
        where = {"model": "m", "address": "http://127.0.0.1:1"}
        bot = Bot.objects.create(house=oak, agent=codex, api="openai-responses", **where)
        with pytest.raises(NotReady, match="runtimes install codex"):
            thread.delegate("x", bot=codex, by=ada)
        Bot.objects.filter(pk=bot.pk).update(api="anthropic-messages")
        with pytest.raises(NotReady, match="codex speaks openai-responses"):
            thread.delegate("x", bot=codex, by=ada)


def test_it_takes_x_on_the_tool(oak, ada, bo, thread, environment, pia):
    with inside(oak, ada):
        give(bo, Tool.objects.get(pk=DELEGATE_TASK), "r", by=ada)
    with inside(oak, bo), pytest.raises(Forbidden, match=DELEGATE_TASK):
        thread.delegate("x", bot=pia, by=bo)
    with inside(oak):
        assert Grant.objects.exists() and not Command.objects.exists()


def test_a_megabyte_belongs_into_a_file(oak, ada, thread, environment, pia):
    with inside(oak, ada), pytest.raises(TooLarge, match="put the rest into a file"):
        thread.delegate("x" * 1_000_000, bot=pia, by=ada)


def test_tasks_are_handed_on_only_so_often(oak, ada, thread, environment, pia):
    with inside(oak, ada):
        here = thread
        for depth in range(MOST_DEPTH + 1):
            here = here.delegate("deeper", bot=pia, by=ada)
            run = Command.objects.runs().get(thread=here)
            assert run.depth == depth
            at_work(run)
        with pytest.raises(TooManyTasks, match="handed on"):
            here.delegate("too deep", bot=pia, by=ada)


def test_a_run_has_only_so_many_tasks_below_it_and_people_many_more(oak, ada, thread, child, run, pia):
    with inside(oak, ada):
        for _ in range(MOST_BELOW_A_RUN):
            child.delegate("wide", bot=pia, by=ada)
        with pytest.raises(TooManyTasks, match="at work already"):
            child.delegate("too wide", bot=pia, by=ada)
        for _ in range(10):
            thread.delegate("as people do", bot=pia, by=ada)
        below = Command.objects.runs().filter(thread__parent_thread_id=child.pk)
        assert {one.recipe["above"] for one in below} == {run.pk}


def test_what_is_said_to_a_bot_at_work_waits_and_can_change(told, oak, ada, bo, child, run):
    with inside(oak, bo):
        child.say("And the plums", by=bo)
        child.say("When you are done: the nuts", by=bo, waits=True)
        steering, waiting = WaitingMessage.objects.still_waiting()
        assert (steering.steers, waiting.steers) == (True, False)
        waiting.edit("When you are done: the figs", by=bo)
        steering.withdraw(by=bo)
        steering.withdraw(by=bo)
        assert [one.text for one in WaitingMessage.objects.still_waiting()] == ["When you are done: the figs"]
    kinds = [event["type"] for event in told(child)]
    assert kinds[3:] == ["message_waiting", "message_waiting", "message_edited", "message_withdrawn"]


def test_what_was_handed_over_changes_no_more(oak, bo, child, run):
    with inside(oak, bo):
        child.say("And the plums", by=bo)
        (message,) = WaitingMessage.objects.still_waiting()
        message.hand_over(run.pk)
        for verb in (lambda: message.edit("no", by=bo), lambda: message.withdraw(by=bo)):
            with pytest.raises(AlreadySent):
                verb()


def test_a_message_is_its_authors_and_of_whoever_manages(oak, ada, bo, child, run):
    with inside(oak, ada):
        child.say("Mine", by=ada)
        (message,) = WaitingMessage.objects.still_waiting()
    with inside(oak, bo), pytest.raises(Forbidden):
        message.edit("Yours", by=bo)


def test_what_waited_and_was_not_read_begins_the_next_run(told, oak, ada, bo, child, run):
    with inside(oak, bo):
        child.say("And the plums", by=bo, waits=True)
        child.say("And the figs", by=bo)
    with inside(oak):
        run.refresh_from_db()
        run.finish_run("completed", by=run.bot, summary="Two.")
        following = Command.objects.runs().unfinished().get(thread=child)
        assert following.text == "And the plums\n\nAnd the figs" and following.agent_id == bo.pk
        assert not WaitingMessage.objects.still_waiting().exists()
    kinds = [event["type"] for event in told(child)]
    assert kinds[-5:] == ["message", "message_handed_over", "message", "message_handed_over", "run_queued"]


def test_after_a_stop_what_waits_waits_for_somebody(oak, ada, bo, child, run):
    with inside(oak, bo):
        child.say("And the plums", by=bo, waits=True)
    with inside(oak):
        run.refresh_from_db()
        run.finish_run("cancelled", by=ada, code="stopped", reason="Stopped by Ada.")
        assert not Command.objects.unfinished().exists()
    with inside(oak, bo):
        child.say("Go on", by=bo)
        assert Command.objects.runs().unfinished().get(thread=child).text == "And the plums\n\nGo on"


def test_every_flip_of_the_row_is_told(told, oak, child, run):
    with inside(oak):
        run.refresh_from_db()
        Thread.objects.filter(pk=child.pk).update(status="idle")
        run.tell_run_started({})
        run.finish_run("failed", by=run.bot, code="provider_down", reason="It is down.")
        child.refresh_from_db()
        assert child.status == "failed"
    flips = [event["payload"] for event in told(child) if event["type"] == "signal.thread.status_changed"]
    assert [(one["before"], one["status"]) for one in flips] == [("idle", "running"), ("running", "failed")]
    (failed,) = [event["payload"] for event in told(child) if event["type"] == "signal.thread.pi_failed"]
    assert failed["error_class"] == "provider_down"


def test_the_end_is_told_above_and_to_whoever_asked(told, oak, ada, thread, child, run):
    with inside(oak):
        run.refresh_from_db()
        run.finish_run("completed", by=run.bot, summary="Two pears.", changed=[{"path": "a", "change": "added"}])
        entry = InboxEntry.objects.get(agent=ada, kind="finished")
        assert entry.thread_id == child.pk and entry.text == "Two pears."
    (finished,) = [event["payload"] for event in told(thread) if event["type"] == "signal.thread.child_finished"]
    assert finished["summary"] == "Two pears." and finished["changed"][0]["path"] == "a"


def test_waiting_on_somebody_is_in_their_inbox_until_anybody_answers(told, oak, ada, bo, child, run):
    with inside(oak):
        run.refresh_from_db()
        run.wait_on(bo, "Which pears?")
        assert InboxEntry.objects.get(agent=bo, kind="waiting").done_at is None
    with inside(oak, ada):
        child.say("The green ones", by=ada)
        assert InboxEntry.objects.get(agent=bo, kind="waiting").done_at is not None
    (waiting,) = [event["payload"] for event in told(child) if event["type"] == "signal.dispatch.pi_waiting"]
    assert (waiting["question"], waiting["on"]) == ("Which pears?", str(bo.pk))


def test_a_stop_reaches_the_children_if_asked(oak, ada, thread, child, run, pia):
    with inside(oak, ada):
        below = thread.delegate("beside", bot=pia, by=ada)
        deeper = child.delegate("below", bot=pia, by=ada)
        child.stop(by=ada)
        assert Command.objects.get(thread=deeper).status == "queued"
        thread.stop(by=ada, children=True)
        assert [Command.objects.get(thread=one).status for one in (below, deeper)] == ["cancelled", "cancelled"]
        assert "Ada" in Command.objects.get(thread=deeper).reason
        run.refresh_from_db()
        assert run.stop_asked_by_id == ada.pk


def test_saying_something_to_a_bot_that_rests_is_work(oak, ada, bo, thread, child, run):
    with inside(oak):
        run.refresh_from_db()
        run.finish_run("completed", by=run.bot)
    with inside(oak, ada):
        give(bo, Tool.objects.get(pk=DELEGATE_TASK), "r", by=ada)
    with inside(oak, bo), pytest.raises(Forbidden):
        child.say("Again", by=bo)
    with inside(oak, ada):
        child.say("Again", by=ada)
        assert Command.objects.runs().unfinished().get(thread=child).text == "Again"


def test_nothing_begins_below_what_is_being_stopped(oak, ada, thread, child, run, pia):
    with inside(oak, ada):
        child.stop(by=ada)
        inside_it = Agent.objects.get(pk=pia.pk)
        inside_it.within = child.pk
        for verb in (
            lambda: child.delegate("one more", bot=pia, by=inside_it),
            lambda: child.make("a.txt", by=inside_it),
        ):
            with pytest.raises(BeingStopped):
                verb()
        assert thread.delegate("beside", bot=pia, by=ada)


def test_a_run_at_rest_waits_for_nobody(oak, ada, bo, child, run):
    with inside(oak):
        run.refresh_from_db()
        run.finish_run("completed", by=run.bot)
        with pytest.raises(Refused, match="come to rest"):
            run.wait_on(bo, "Which pears?")
        assert not InboxEntry.objects.filter(agent=bo).exists()
