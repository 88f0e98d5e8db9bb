"""Who may hand on what, and whose task that then is: however a run goes about it, it is that run's."""

from copy import copy

import pytest

from houses.giving import give
from houses.models import Agent, Bot, Budget, Member
from houses.refusals import Forbidden
from houses.tenancy import inside
from houses.tools import DELEGATE_TASK, Tool
from tests.threads.test_delegating import at_work
from tests.threads.test_delegating import child as child  # noqa: PLC0414  # a fixture, for here too
from tests.threads.test_delegating import pia as pia  # noqa: PLC0414
from tests.threads.test_delegating import programs as programs  # noqa: PLC0414
from tests.threads.test_delegating import run as run  # noqa: PLC0414
from threads import stepping
from threads.agent_events import PiUsage
from threads.commands import Command
from threads.log.reading import waiting_in
from threads.models import Answer, InboxEntry, Make, Thread, WaitingMessage
from threads.placing import MOST_AT_ONCE, MOST_BELOW_A_RUN, MOST_DEPTH, TooManyTasks
from threads.runs import MOST_QUESTIONS, TooManyQuestions
from threads.spending import OverBudget, Spending, Tokens


@pytest.fixture
def speaker(oak, child, pia):
    """Pia, as she comes in with the token of her run."""
    agent = copy(pia)
    agent.cap, agent.within, agent.calls = "rw", child.pk, True
    return agent


def last(thread):
    return Command.objects.runs().filter(thread=thread).latest("created_at")


def rests(run, status="completed", **how):
    run.refresh_from_db()
    run.finish_run(status, by=run.bot, **how)


def test_a_plain_thread_in_between_changes_nothing(oak, child, run, speaker):
    with inside(oak, speaker):
        between = Thread.objects.open_in(oak, by=speaker, parent=child)
        handed = last(between.delegate("x", bot=run.bot, by=speaker))
    assert (handed.depth, handed.recipe["above"]) == (1, run.pk)


def test_nor_does_a_child_that_rests(oak, child, run, speaker):
    with inside(oak, speaker):
        below = child.delegate("x", bot=run.bot, by=speaker)
        rests(last(below))
        handed = last(below.delegate("y", bot=run.bot, by=speaker))
    assert (handed.depth, handed.recipe["above"]) == (1, run.pk)


def test_too_deep_is_too_deep_wherever_it_is_asked(oak, child, run, speaker):
    with inside(oak, speaker):
        Command.objects.filter(pk=run.pk).update(depth=MOST_DEPTH)
        between = Thread.objects.open_in(oak, by=speaker, parent=child)
        with pytest.raises(TooManyTasks, match="handed on"):
            between.delegate("x", bot=run.bot, by=speaker)


def test_tasks_of_a_run_are_counted_wherever_below_it_they_are(oak, child, run, speaker):
    with inside(oak, speaker):
        for _ in range(MOST_BELOW_A_RUN):
            between = Thread.objects.open_in(oak, by=speaker, parent=child)
            between.delegate("wide", bot=run.bot, by=speaker)
        with pytest.raises(TooManyTasks, match=f"{MOST_BELOW_A_RUN} tasks"):
            Thread.objects.open_in(oak, by=speaker, parent=child).delegate("too wide", bot=run.bot, by=speaker)


def test_people_have_an_end_too(oak, ada, thread, child, run, environment):
    with inside(oak, ada):
        many = (
            Command(**{name: getattr(run, name) for name in ("house_id", "agent_id", "bot_id", "recipe", "text")})
            for _ in range(MOST_AT_ONCE - 1)
        )
        for one in many:
            one.thread_id, one.environment_id = child.pk, environment.pk
            one.save(force_insert=True)
        with pytest.raises(TooManyTasks, match=f"{MOST_AT_ONCE} tasks"):
            thread.delegate("one more", bot=run.bot, by=ada)


def test_a_run_that_speaks_to_a_bot_below_hands_on(oak, ada, child, run, speaker):
    with inside(oak, ada):
        other = Agent.objects.create_bot("Other", "pi")
        Member.objects.create(house=oak, agent=other, role="member")
        Bot.objects.create(house=oak, agent=other, model="m", address="http://127.0.0.1:1/v1")
        beside = Thread.objects.begin_in(oak, by=ada, parent=child, bot=other)
        beside.start_run("by a person", by=ada)
        by_person = last(beside)
        assert (by_person.depth, by_person.recipe["above"]) == (0, "")
    with inside(oak, speaker):
        beside.say("and what waits", by=speaker, waits=True)
        rests(by_person)
        waited = last(beside)
        assert (waited.depth, waited.recipe["above"], waited.text) == (1, run.pk, "and what waits")
        rests(waited)
        beside.say("and again", by=speaker)
        again = last(beside)
        assert (again.depth, again.recipe["above"], again.text) == (1, run.pk, "and again")
    with inside(oak, ada):
        rests(again)
        beside.say("a person goes on", by=ada)
        assert last(beside).recipe["above"] == ""


def step_of(oak, make, bot):
    recipe = {"kind": "task", "bot": str(bot.pk), "bot_name": str(bot), "prompt": "Write it."}
    step = type("Step", (), {"recipe": recipe, "outputs": ("a.txt",), "key": "k", "environment": ""})
    stepping.start(make, step)
    return Command.objects.runs().get(make=make)


def test_a_step_of_what_a_run_has_made_is_handed_on_by_it(oak, ada, child, run, speaker, repository):
    with inside(oak, speaker):
        between = Thread.objects.open_in(oak, by=speaker, parent=child)
        made = {"house": oak, "thread": between, "repository": repository}
        of_run = Make.objects.create(agent=run.bot, target="a.txt", **made)
        rests(run)  # a make goes on after the run that asked for it
        step = step_of(oak, of_run, run.bot)
        assert (step.depth, step.recipe["above"]) == (1, run.pk)
        of_ada = step_of(oak, Make.objects.create(agent=ada, target="b.txt", **made), run.bot)
        assert (of_ada.depth, of_ada.recipe["above"]) == (0, "")


def test_what_came_of_a_hidden_child_is_not_told_above(told, oak, ada, bo, thread, child, run):
    with inside(oak, ada):
        give(bo, child, "none", by=ada)
        rests(run, summary="The secret number is 7.", changed=[{"path": "secret.txt", "change": "added"}])
    (ended,) = [event["payload"] for event in told(thread) if event["type"] == "signal.thread.child_finished"]
    assert ended["status"] == "completed" and ended["run_id"] == run.pk
    assert (ended["summary"], ended["changed"], ended["more"], ended["spent"]) == ("", [], 0, {})


def test_to_steer_is_work_too(oak, ada, bo, child, run):
    with inside(oak, ada):
        give(bo, Tool.objects.get(pk=DELEGATE_TASK), "r", by=ada)
    with inside(oak, bo), pytest.raises(Forbidden, match=DELEGATE_TASK):
        child.say("Do something else", by=bo)
    with inside(oak):
        assert not WaitingMessage.objects.exists()


def test_what_somebody_said_who_may_not_any_more_waits_on(oak, ada, bo, child, run):
    with inside(oak, bo):
        child.say("Bo's", by=bo, waits=True)
    with inside(oak, ada):
        child.say("Ada's", by=ada, waits=True)
        give(bo, Tool.objects.get(pk=DELEGATE_TASK), "r", by=ada)
        rests(run)
        following = last(child)
        assert (following.text, following.agent_id) == ("Ada's", ada.pk)
        assert [one.text for one in WaitingMessage.objects.still_waiting()] == ["Bo's"]
        WaitingMessage.objects.still_waiting().update(steers=True)
        assert WaitingMessage.objects.to_steer(child.pk) == []
        give(bo, Tool.objects.get(pk=DELEGATE_TASK), "rx", by=ada)
        assert [one.text for one in WaitingMessage.objects.to_steer(child.pk)] == ["Bo's"]
        rests(following)
        assert (last(child).text, last(child).agent_id) == ("Bo's", bo.pk)


def test_who_began_to_wait_asks_for_what_follows(oak, ada, bo, child, run):
    with inside(oak, bo):
        child.say("first", by=bo, waits=True)
    with inside(oak, ada):
        child.say("second", by=ada, waits=True)
        rests(run)
        assert (last(child).text, last(child).agent_id) == ("first\n\nsecond", bo.pk)


def test_what_waits_is_shown_in_the_order_it_was_said(oak, ada, child, run):
    words = ["one", "two", "three", "four", "five"]
    with inside(oak, ada):
        for word in words:
            child.say(f"the word {word}", by=ada)
        html = waiting_in(child)
    assert sorted(words, key=lambda word: html.index(f"the word {word}")) == words


def test_a_stop_leaves_alone_what_one_may_not_write_in(oak, ada, bo, child, run, pia):
    with inside(oak, ada):
        closed_off, open_to_all = (child.delegate(text, bot=pia, by=ada) for text in ("mine", "ours"))
        give(bo, closed_off, "r", by=ada)
    with inside(oak, bo):
        child.stop(by=bo, children=True)
        assert (last(closed_off).status, last(open_to_all).status) == ("queued", "cancelled")


def test_people_who_are_mentioned_to_a_bot_find_it_in_their_inbox(oak, ada, bo, scribe, child, run):
    with inside(oak, ada):
        Bot.objects.update_or_create(house=oak, agent=scribe, defaults={"model": "m", "address": "http://127.0.0.1:1"})
        child.say("@Bo knows, and @Scribe", by=ada)
        assert [(one.agent, one.kind) for one in InboxEntry.objects.all()] == [(bo, "mention")]
        assert not child.answers.exists()


def test_one_question_of_a_run_is_open_to_each(told, oak, ada, bo, child, run):
    def asked():
        return [event["payload"]["question"] for event in told(child) if event["type"].endswith("pi_waiting")]

    with inside(oak):
        run.refresh_from_db()
        for question in ("Which?", "Which?", "Which of the two?"):
            run.wait_on(bo, question)
        run.wait_on(ada, "And you?")
        waiting = InboxEntry.objects.open_questions().order_by("created_at")
        assert [(one.agent, one.text) for one in waiting] == [(bo, "Which of the two?"), (ada, "And you?")]
    assert asked() == ["Which?", "Which of the two?", "And you?"]


def test_a_run_does_not_ask_without_end(oak, ada, bo, child, run):
    with inside(oak, ada):
        run.refresh_from_db()
        for number in range(MOST_QUESTIONS):
            run.wait_on(bo, f"Which of {number}?")
            InboxEntry.objects.answered(child, by=ada)
        with pytest.raises(TooManyQuestions):
            run.wait_on(bo, "Which, again?")
        assert not InboxEntry.objects.open_questions().exists()


def test_a_bot_that_only_answers_hands_on_what_goes_on_around_it(oak, ada, child, run, pia):
    chatty = Agent.objects.create_bot("Chatty", "chat")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=chatty, role="member")
        between = Thread.objects.open_in(oak, by=ada, parent=child)
        handed = last(between.delegate("x", bot=pia, by=chatty, above="its-answer"))
        assert (handed.depth, handed.recipe["above"]) == (1, "its-answer")
        at_work(handed)
        assert last(between.delegate("x", bot=pia, by=ada)).depth == 0


def test_what_a_run_has_a_bot_answer_is_paid_by_the_run(oak, ada, child, run, speaker, pia):
    chatty = Agent.objects.create_bot("Chatty", "chat")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=chatty, role="member")
        Bot.objects.create(house=oak, agent=chatty, model="m", address="http://127.0.0.1:1/v1")
        Budget.objects.limit(pia, run_tokens=100, by=ada)
    with inside(oak, speaker):
        Thread.objects.open_in(oak, by=speaker, parent=child).say("@Chatty help", by=speaker)
        answer = Answer.objects.get(agent=chatty)
        assert answer.recipe["above"] == run.pk
        spent = Tokens.none().plus(
            PiUsage(run_id="x", input=99, output=1, cache_read=0, cache_write=0, usd=None, model="m")
        )
        Spending.objects.note_for(answer.pk, answer.thread, spent, bot=chatty, asked_by=pia, recipe=answer.recipe)
        with pytest.raises(OverBudget, match="This run has used 100"):
            run.require_budget()
        with pytest.raises(OverBudget, match="that handed this on"):
            Spending.objects.require_left(pia, above=answer.pk, run="handed-on-by-the-answer")
