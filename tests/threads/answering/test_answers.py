"""Bots of a chat thread answer: who is called, what is told, and what becomes of it when something is wrong."""

import pytest

from houses.bots import CHAT, MESSAGES, RESPONSES, Bot
from houses.giving import give
from houses.models import Agent, Member, Secret
from houses.tenancy import inside
from tests.agents.model import KEY
from tests.agents.scenarios import say
from threads.models import Spending


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
def test_a_bot_that_is_mentioned_answers_and_everybody_sees_it_come(talk, bot, ada, model, api):
    sage = bot("Sage", api=api, address=model.root if api == MESSAGES else model.url)
    ended = talk.ask(f"@sage, what is new? {say('plain', text='Nothing much.')}", by=ada)
    assert (ended["status"], ended["code"], ended["text"]) == ("completed", "", "Nothing much.")
    assert ended["bot_id"] == str(sage.pk) and ended["spent"]["input"] == 11 and ended["spent"]["output"] == 7
    kinds = [event["type"] for event in talk.events()]
    told = [kind.removeprefix("thread_answer_") for kind in kinds if kind.startswith("thread_answer_")]
    assert told[0] == "begun" and set(told[1:-1]) == {"part"} and told[-1] == "finished"
    assert talk.streamed(ended["answer_id"]) == "Nothing much."
    (request,) = model.requests
    assert request.key == KEY and request.api == api and request.streamed


def test_what_was_said_before_is_told_with_names_and_the_question_comes_last(talk, bot, ada, bo, model):
    bot("Sage", system_prompt="Be brief.")
    talk.say("The harbour opens at six.", by=bo)
    talk.ask(f"@Sage first {say('plain', text='At six.')}", by=bo)
    talk.ask(f"@Sage when does it open? {say('count')}", by=ada)
    told = model.requests[-1].body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "user", "assistant", "user"]
    assert told[0]["content"].startswith("Be brief.") and "Ada, Bo, Sage" in told[0]["content"]
    assert told[1]["content"] == "Bo: The harbour opens at six."
    assert told[3]["content"] == "At six." and told[4]["content"].startswith("Ada: @Sage when does it open?")


@pytest.mark.parametrize(
    "text",
    ["Nothing for bots", "mail me at ada@Sage.example", "`@Sage` is how it is called", "@Sages are many", "@Sag"],
)
def test_nobody_answers_who_is_not_called(talk, sage, ada, text):
    talk.say(text, by=ada)
    assert talk.waiting() == []


def test_the_longest_name_that_fits_is_called_and_each_once(talk, bot, ada):
    bot("Sage")
    older = bot("Sage the Elder")
    talk.say("@SAGE THE ELDER: you know. @Sage the Elder?", by=ada)
    assert [answer.agent_id for answer in talk.waiting()] == [older.pk]


def test_one_that_always_answers_needs_no_mention_and_never_answers_itself(talk, bot, ada, model):
    bot("Sage", answers="always")
    ended = talk.ask(say("plain", text="I, Sage, am here."), by=ada)
    assert ended["text"] == "I, Sage, am here." and len(model.requests) == 1


def test_a_bot_that_may_not_write_in_the_thread_is_not_called(talk, sage, oak, ada, thread):
    with inside(oak, ada):
        give(sage, thread, "r", by=ada)
    talk.say("@Sage?", by=ada)
    assert talk.waiting() == []


def test_bots_answer_each_other_when_they_are_called_but_not_for_ever(talk, bot, ada, model):
    for name in ("Ping", "Pong"):
        bot(name, model="say-count")  # says again what it was told, names and all
    talk.ask("@Ping, ask @Pong", by=ada)
    ended = talk.finished()
    assert [one["status"] for one in ended].count("completed") == 2 * 5
    assert [one["code"] for one in ended if one["status"] == "failed"] == ["too_many_in_a_row"] * 2
    assert len(model.requests) == 2 * 5


def test_a_bot_answers_one_thing_after_the_other(talk, sage, ada):
    talk.say("@Sage one", by=ada)
    talk.say("@Sage two", by=ada)
    first, second = talk.waiting()
    assert talk.claim(second) is None and talk.claim(first) is not None


# What is wrong


def test_a_bot_that_nobody_set_up_says_at_once_what_to_do(talk, oak, ada):
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=Agent.objects.create_bot("Mute", "chat"), role="member")
    talk.say("@Mute?", by=ada)
    assert talk.waiting() == []
    (ended,) = talk.finished()
    assert ended["status"] == "failed" and "Settings → Agents" in ended["reason"]


def test_a_key_that_is_not_there_is_said_at_once_and_nothing_is_asked(talk, sage, oak, ada, model):
    with inside(oak, ada):
        Secret.objects.named(["MODEL_KEY"]).get().forget(by=ada)
    talk.say("@Sage?", by=ada)
    (ended,) = talk.finished()
    assert ended["status"] == "failed" and "MODEL_KEY" in ended["reason"] and model.requests == []


def test_a_key_that_goes_before_the_answer_begins_is_said_too(talk, sage, oak, ada, model):
    talk.say("@Sage?", by=ada)
    with inside(oak, ada):
        Secret.objects.named(["MODEL_KEY"]).get().forget(by=ada)
    assert "MODEL_KEY is gone" in talk.answer()["reason"] and model.requests == []


def test_a_wrong_key_is_refused_once_and_never_told(talk, bot, ada, model):
    bot("Sage", key="sk-something-else")
    ended = talk.ask("@Sage?", by=ada)
    assert (ended["status"], ended["code"]) == ("failed", "provider_auth")
    assert "MODEL_KEY" in ended["reason"] and "This key opens nothing" in ended["reason"]
    assert len(model.requests) == 1 and "sk-something-else" not in str(talk.events())


def test_a_provider_that_wants_a_key_where_there_is_none_says_how_to_give_one(talk, bot, ada):
    bot("Sage", key_secret="")
    ended = talk.ask("@Sage?", by=ada)
    assert ended["code"] == "provider_auth" and "has none" in ended["reason"] and "Settings → Agents" in ended["reason"]


@pytest.mark.parametrize(
    ("scenario", "code", "text"),
    [
        ("empty", "empty_answer", ""),
        ("length", "length", "This answer is cut at the limit"),
        ("http400", "provider_refused", ""),
    ],
)
def test_an_answer_that_is_none_has_failed_and_what_there_was_is_kept(talk, sage, ada, model, scenario, code, text):
    ended = talk.ask(f"@Sage {say(scenario)}", by=ada)
    assert (ended["status"], ended["code"], ended["text"]) == ("failed", code, text)
    assert ended["reason"].endswith((".", "e.")) and len(model.requests) == 1


@pytest.mark.parametrize(("scenario", "text"), [("http500", ""), ("http429", ""), ("cut", "Half an ans")])
def test_a_provider_that_fails_is_asked_again_before_that_is_said(talk, sage, ada, model, scenario, text):
    talk.say(f"@Sage {say(scenario)}", by=ada)
    ended = talk.answer(pauses=(0.01, 0.01))
    assert (ended["status"], ended["code"], ended["text"]) == ("failed", "provider_down", text)
    assert len(model.requests) == 3 and "Ask again later" in ended["reason"]
    assert talk.streamed(ended["answer_id"]) == text


def test_a_provider_that_comes_back_meanwhile_answers(talk, sage, ada, model):
    talk.say("@Sage?", by=ada)
    model.stop()
    (answer,) = talk.waiting()
    answering = talk.aside(answer, pauses=(0.05,) * 400)
    talk.until(lambda: talk.events("thread_answer_begun"))
    model.start()
    answering.join()
    assert talk.finished()[0]["status"] == "completed"


def test_a_key_that_the_model_says_is_hidden_before_anybody_sees_it(talk, sage, ada):
    marker = say("plain", text=f"It is {KEY} indeed.").replace(KEY, KEY.replace("k", "%6B"))
    ended = talk.ask(f"@Sage {marker}", by=ada)
    assert ended["text"] == "It is [secret MODEL_KEY] indeed." == talk.streamed(ended["answer_id"])
    answers = [event for event in talk.events() if event["type"].startswith("thread_answer")]
    assert KEY not in str(answers) and KEY not in str(talk.row(ended["answer_id"]).done)


def test_a_key_that_somebody_says_does_not_reach_the_model(talk, sage, ada, model):
    talk.ask(f"@Sage our key is {KEY}", by=ada)
    assert "our key is [secret MODEL_KEY]" in model.requests[0].user


def test_what_a_bot_is_afterwards_changes_nothing_for_what_was_asked(talk, sage, oak, ada, model):
    talk.say("@Sage?", by=ada)
    with inside(oak, ada):
        Bot.objects.filter(agent=sage).update(model="another", address="http://127.0.0.1:1/v1")
    assert talk.answer()["status"] == "completed" and model.requests[0].model == "any"


def test_tokens_are_counted_once_for_each_answer(talk, sage, oak, ada):
    ended = talk.ask("@Sage?", by=ada)
    with inside(oak):
        (row,) = Spending.objects.of_run(ended["answer_id"])
    assert (row.input_tokens, row.output_tokens, row.agent_id, row.asked_by_id) == (11, 7, sage.pk, ada.pk)


def test_whoever_reads_the_deliveries_finds_the_key_that_an_answer_was_given(talk, sage, oak, ada):
    from houses.models import SecretDelivery

    ended = talk.ask("@Sage?", by=ada)
    with inside(oak):
        (delivery,) = SecretDelivery.objects.of("MODEL_KEY")
    assert delivery.command_id == ended["answer_id"] and delivery.agent_id == sage.pk
