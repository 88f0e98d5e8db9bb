"""Runs, answers, waiting messages, inbox and bots as pages, without a browser."""

import pytest

from houses.models import Agent, Bot, Budget, Member
from houses.tenancy import inside
from tests.pages.test_rendering import event
from threads.log.reading import laid_out
from threads.log.rendering import fragment, with_names
from threads.models import InboxEntry, Thread

pytestmark = pytest.mark.django_db
SPENT = {"input": 1000, "output": 200, "cache_read": 0, "cache_write": 0, "usd": 0.02}


def begun(number=1, run="r1"):
    return event(number, "run_queued", run_id=run, bot_id=None, runtime="pi", model="some-model")


def call(number, run="r1", key="c|1", title="ls"):
    return event(number, "pi.tool_call", run_id=run, call_id=key, tool="bash", title=title, arguments={})


def result(number, text, run="r1", key="c|1", **more):
    told = {"tool": "bash", "left_out": 0, "is_error": False, "exit_code": 0, "seconds": 0.1, **more}
    return event(number, "pi.tool_result", run_id=run, call_id=key, text=text, **told)


def ended(number, run="r1", status="completed", **more):
    kept = {"changed": [], "more": 0, "snapshot": None, "landed": None, "conflicts": [], "branch": None}
    kept |= {"left_out": [], "redactions": {}, "code": "", "reason": "", "summary": "All done.", "exit_code": 0}
    told = {"run_id": run, "bot_id": None, "status": status, "seconds": 2.5, "spent": SPENT, **kept, **more}
    return event(number, "run_finished", **told)


def test_everything_between_folds_into_the_card_of_the_run():
    told = [
        begun(),
        event(2, "run_started", run_id="r1", sandbox_id="s", split={}),
        event(3, "pi.assistant", run_id="r1", text="I **look**."),
        call(4),
        event(5, "message", text="by the way"),
        result(6, "a\nb\n"),
        ended(7, changed=[{"path": "a.txt", "change": "added", "old": None, "new": "1"}]),
    ]
    html = laid_out(told, "h")
    card = html[html.index('id="card-r1"') : html.index("by the way")]
    assert "<strong>look</strong>" in card and "a\nb\n" in card and "1 tool call<" in card
    assert "a.txt" in card and "1,200 tokens · $0.0200" in card and "2.5 s" in card
    assert "Stop" not in card and 'class="doings" data-doings' in card
    assert html.count("<article") == 2


def test_while_it_runs_the_card_is_open_counts_and_can_be_stopped():
    usage = [event(n, "pi.usage", run_id="r1", model="m", **SPENT) for n in (3, 4)]
    html = laid_out([begun(), event(2, "run_started", run_id="r1", sandbox_id="s", split={}), *usage], "h")
    assert "2,400 tokens · $0.0400" in html and "open data-doings" in html and "Stop" in html


def test_the_result_of_a_tool_stands_in_place_of_what_was_streamed():
    streamed = event(3, "pi.tool_output", run_id="r1", call_id="c|1", text="half")
    html = laid_out([begun(), call(2), streamed, result(4, "whole", exit_code=2, is_error=True)], "h")
    assert "whole" in html and "half" not in html and "exit 2" in html
    assert 'data-fill="#lines-r1-' in fragment(result(4, "whole"), "h")


def test_a_run_says_that_it_failed_and_why_not_how_its_program_was_ended():
    why = {"status": "failed", "code": "provider_down", "reason": "Nobody answers there.", "exit_code": 143}
    html = laid_out([begun(), ended(2, seconds=0, **why)], "h")
    assert "Nobody answers there." in html and ">failed<" in html and "143" not in html and "0 ms" not in html


def test_what_a_tool_is_given_to_write_is_shown_line_by_line_and_escaped():
    edit = {"path": "a.py", "oldText": "x = 1", "newText": "x = '<b>'"}
    told = event(2, "pi.tool_call", run_id="r1", call_id="e", tool="edit", title="a.py", arguments=edit)
    html = laid_out([begun(), told], "h")
    assert '<span class="deleted">x = 1' in html and '<span class="added">x = &#x27;&lt;b&gt;&#x27;' in html


def test_what_steers_a_run_stands_inside_its_card():
    told = [
        begun(),
        event(2, "pi.assistant", run_id="r1", text="I begin."),
        event(3, "message", text="mind the gap"),
        event(4, "message_handed_over", message_id="m1", run_id="r1"),
        event(5, "message", text="to everybody"),
    ]
    html = laid_out(told, "h")
    card, after = html.split("to everybody")[0], html.split('id="e-' + told[4]["seq"])[1]
    assert card.index("mind the gap") > card.index('id="did-r1"') and "mind the gap" not in after
    assert fragment(told[3], "h").count("data-gone") == 1 and 'data-take="#did-r1"' in fragment(told[3], "h")


def test_parts_of_an_answer_are_joined_and_the_whole_replaces_them():
    answer = event(1, "thread_answer_begun", answer_id="a1", bot_id=None, model="m")
    parts = [event(n, "thread_answer_part", answer_id="a1", text=text) for n, text in ((2, "so **m"), (3, "uch**"))]
    assert "so <strong>much</strong>" in laid_out([answer, *parts], "h")
    over = {"bot_id": None, "status": "completed", "code": "", "reason": "", "seconds": 1, "spent": SPENT}
    whole = event(4, "thread_answer_finished", answer_id="a1", text="It is *this*.", **over)
    html = laid_out([answer, *parts, whole], "h")
    assert "<em>this</em>" in html and "much" not in html and "Stop" not in html
    assert "<span> and <b>more" not in fragment(event(5, "thread_answer_part", answer_id="a1", text="<b>more"), "h")


def finished(number, **more):
    told = {"run_id": "r", "bot_id": None, "status": "completed", "code": "", "summary": "It is **done**."}
    told |= {"changed": [], "more": 0, "spent": SPENT, **more}
    return event(number, "signal.thread.child_finished", child_thread_id="c1", **told)


def test_a_task_and_its_end_are_one_card_and_tell_no_name_that_is_not_known():
    spawn = event(1, "agent_spawn", child_thread_id="c1", bot_id="00000000-0000-0000-0000-000000000001")
    html = laid_out([spawn, finished(2)], "h")
    assert html.count("<article") == 1 and "<strong>done</strong>" in html and "Stop" not in html
    assert "A child thread" in with_names(html, lambda _: {})
    assert "Bread &amp; butter" in with_names(html, lambda _: {"c1": "Bread & butter"})


def test_the_card_of_a_task_that_failed_leads_to_the_reason():
    assert ">See why<" in laid_out([finished(1, status="failed", summary="")], "h")


def test_the_end_of_a_task_stands_alone_where_its_beginning_is_on_an_earlier_page():
    html = laid_out([finished(2)], "h")
    assert html.count("<article") == 1 and 'data-continues="spawn-c1"' in html
    assert 'data-unless="#card-spawn-c1"' in fragment(finished(2), "h")


def test_a_run_that_began_on_an_earlier_page_goes_on_with_its_calls(ada_browses, oak, ada, at, driven, log_of):
    thread, run = driven
    log_of(thread, ada, ("pi.tool_result", {**result(1, "the rest", run=run.pk)["payload"], "call_id": "x"}))
    html = ada_browses.get(at("thread", thread.pk)).content.decode()
    assert (
        html.count(f'id="card-{run.pk}"') == 1 and "the rest" in html and "The beginning is on an earlier page" in html
    )
    assert "data-continues" in html and "some-model" in html


@pytest.fixture
def ada_browses(client_of, ada):
    return client_of(ada)


@pytest.fixture
def bo_browses(client_of, bo):
    return client_of(bo)


@pytest.fixture
def scribe(oak, ada):
    """A bot that does tasks."""
    scribe = Agent.objects.create_bot("Scribe", "pi")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=scribe, role="member")
    return scribe


@pytest.fixture
def driven(oak, ada, scribe, environment):
    """A thread that Scribe drives, with a run."""
    with inside(oak, ada):
        thread = Thread.objects.begin_in(oak, by=ada, name="Count", environment=environment, bot=scribe)
        recipe = {"runtime": "pi", "model": "some-model", "version": "1", "system_prompt": "", "address": ""}
        run = thread.commands.create(
            house_id=oak.pk, agent=ada, bot=scribe, text="Count them", environment=environment, recipe=recipe
        )
    return thread, run


def test_a_message_that_waits_is_shown_changed_and_taken_back(ada_browses, bo_browses, oak, ada, at, driven):
    thread, _ = driven
    with inside(oak, ada):
        thread.say("and <b>then</b>", by=ada, waits=True)
        message = thread.waiting.get()
    page = ada_browses.get(at("thread", thread.pk)).content.decode()
    assert "and &lt;b&gt;then&lt;/b&gt;" in page and "waits for the end of the run" in page
    other = bo_browses.post(at("waiting_message", message.pk), {"text": "mine now"})
    assert other.status_code == 403
    ada_browses.post(at("waiting_message", message.pk), {"text": "something else"})
    with inside(oak, ada):
        message.refresh_from_db()
    assert message.text == "something else"
    ada_browses.post(at("waiting_message", message.pk), {"withdraw": "1"})
    assert "something else" not in ada_browses.get(at("thread", thread.pk)).content.decode()


def test_the_inbox_shows_what_waits_and_a_look_at_the_thread_reads_it(
    ada_browses, bo_browses, oak, ada, at, driven, log_of
):
    thread, run = driven
    log_of(thread, ada, ("message", {"text": "hello"}))
    with inside(oak, ada):
        InboxEntry.objects.put(ada, thread, "waiting", run.pk, "May I?", by=run.bot)
        entry = InboxEntry.objects.get()
    page = ada_browses.get(at("inbox")).content.decode()
    assert "Waiting on you" in page and "May I?" in page and "not read" in page
    assert "May I?" not in bo_browses.get(at("inbox")).content.decode()
    assert bo_browses.post(at("inbox_entry", entry.pk), {"done": "1"}).status_code == 404
    thread_page = ada_browses.get(at("thread", thread.pk)).content.decode()
    assert "<title>Waiting on you" in thread_page
    assert 'class="badge"' not in ada_browses.get(at("inbox")).content.decode()
    ada_browses.post(at("inbox_entry", entry.pk), {"done": "1"})
    assert "May I?" not in ada_browses.get(at("inbox")).content.decode()


def test_a_bot_is_set_up_and_limited_in_forms(ada_browses, oak, ada, at):
    said = {"name": "Pia", "runtime": "chat", "model": "m", "address": "https://models.example/v1"}
    said |= {"api": "openai-completions", "key_secret": "NOT_THERE", "answers": "always", "system_prompt": "Be brief."}
    ada_browses.post(at("bot_new"), said)
    with inside(oak, ada):
        bot = Bot.objects.get()
    assert (bot.model, bot.answers, bot.system_prompt) == ("m", "always", "Be brief.")
    assert "key missing" in ada_browses.get(at("bots")).content.decode()
    assert "NOT_THERE" in ada_browses.get(at("bot", bot.agent_id)).content.decode()
    ada_browses.post(at("bot", bot.agent_id), {"limits": "1", "month_usd": "$2.50", "run_tokens": "10,000"})
    with inside(oak, ada):
        budget = Budget.objects.get(agent=bot.agent_id)
    assert (float(budget.month_usd), budget.run_tokens, budget.run_usd) == (2.5, 10_000, None)
    wrong = ada_browses.post(at("bot", bot.agent_id), {"limits": "1", "month_usd": "much"})
    assert wrong.status_code == 400 and "a number of dollars" in wrong.content.decode()


def test_a_runtime_that_speaks_one_api_needs_no_choice_of_it(ada_browses, oak, at):
    page = ada_browses.get(at("bot_new")).content.decode()
    assert '<option value="">What its runtime speaks</option>' in page
    said = {"name": "Coda", "runtime": "codex", "model": "m", "address": "https://models.example/v1", "api": ""}
    ada_browses.post(at("bot_new"), said)
    with inside(oak):
        assert Bot.objects.get().api == "openai-responses"


def test_what_is_wrong_with_an_address_stands_at_its_field_in_the_words_of_the_form(ada_browses, oak, ada, at):
    said = {"name": "Coda", "runtime": "codex", "model": "m", "address": "http://models.example/v1"}
    page = ada_browses.post(at("bot_new"), said)
    html = page.content.decode()
    assert page.status_code == 400 and html.count('role="alert"') == 1 and "address: " not in html
    assert 'aria-describedby="address-wrong"' in html and "Over http everybody" in html and "Coda" in html
    page = ada_browses.post(at("bot_new"), said | {"name": ""})
    assert page.status_code == 400 and 'role="alert"' in page.content.decode()
    with inside(oak, ada):
        assert not Bot.objects.exists()


def test_a_bot_that_is_not_ready_is_offered_last_for_tasks_and_says_so(ada_browses, oak, ada, at, thread, scribe):
    zoe = Agent.objects.create_bot("Zoe", "pi")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=zoe, role="member")
        Bot.objects.set_up(zoe, model="m", address="https://models.example/v1", by=ada)
    offered = ada_browses.get(at("thread_tasks", thread.pk)).json()["bot"]
    assert [one["text"] for one in offered] == ["Zoe (pi)", "Scribe (pi, not ready)"]


def test_whoever_does_not_manage_the_house_sees_bots_and_changes_none(bo_browses, oak, ada, at, scribe):
    page = bo_browses.get(at("bot", scribe.pk))
    assert page.status_code == 200 and "fieldset disabled" in page.content.decode()
    refused = bo_browses.post(at("bot", scribe.pk), {"model": "m", "address": "https://models.example"})
    assert refused.status_code == 403


def test_a_task_for_a_bot_that_is_not_ready_is_refused_with_what_to_do(ada_browses, at, thread, environment, scribe):
    answer = ada_browses.post(at("thread_composer", thread.pk), {"text": "Count", "bot": str(scribe.pk), "where": ""})
    assert answer.status_code in (400, 409, 422) and "Settings → Agents" in answer.content.decode()


def test_the_tree_shows_who_works_where_and_whom_that_waits_for(ada_browses, oak, ada, at, driven, thread, scribe):
    with inside(oak, ada):
        child = Thread.objects.begin_in(oak, by=ada, name="Below", parent=thread, bot=scribe)
        InboxEntry.objects.put(ada, child, "waiting", "q", "May I?", by=scribe)
    page = ada_browses.get(at("thread_tree", child.pk)).content.decode()
    assert page.index("Weather") < page.index("Below") and "waiting on Ada" in page and "idle" in page


def test_the_page_of_a_run_and_of_its_command_are_one(ada_browses, bo_browses, oak, at, driven):
    _, run = driven
    assert ada_browses.get(at("command", run.pk)).url == at("run", run.pk)
    page = ada_browses.get(at("run", run.pk)).content.decode()
    assert "Count them" in page and "some-model" in page and "Scribe, asked by Ada" in page
