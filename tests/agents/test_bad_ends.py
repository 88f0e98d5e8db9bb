"""Whatever a model or a program does, a task ends in the right status, with a sentence that says what to do."""

import time

import pytest

from houses.tenancy import inside
from tests.agents import impostors
from tests.agents.conftest import APIS, living, until
from tests.agents.model import KEY
from tests.agents.scenarios import say
from threads.models import InboxEntry, Spending
from threads.runtimes import claude_code, codex, pi

EVERYBODY = pytest.mark.parametrize("agent", APIS, indirect=True)
PI = pytest.mark.parametrize("agent", ["pi"], indirect=True)


def ends(crew, run):
    """How it ended, which is told with a reason."""
    finished = crew.payload(run, "run_finished")
    assert finished["reason"], "nobody is told why"
    return crew.status(run)


@EVERYBODY
def test_a_wrong_key(crew, bot, thread, ada, model):
    model.key = "sk-another"
    run = crew.done(thread, say("plain"), bot=bot, by=ada)
    assert ends(crew, run) == ("failed", "provider_auth")
    assert "key" in crew.payload(run, "run_finished")["reason"]
    assert crew.payload(run, "signal.thread.pi_failed")["error_class"] == "provider_auth"


@EVERYBODY
def test_a_model_that_answers_nothing(crew, bot, thread, ada):
    run = crew.done(thread, say("empty"), bot=bot, by=ada)
    assert ends(crew, run) == ("failed", "empty_answer")


@pytest.mark.parametrize("agent", ["pi", "codex"], indirect=True)
def test_an_answer_that_is_cut_at_its_limit(crew, bot, thread, ada):
    """Claude goes on by itself."""
    run = crew.done(thread, say("length"), bot=bot, by=ada)
    assert ends(crew, run) == ("failed", "length")


def test_a_provider_that_is_down(crew, thread, ada, model, monkeypatch):
    """Otherwise each tries again for half a minute."""
    monkeypatch.setitem(pi.RETRIES, "maxRetries", 1)
    monkeypatch.setattr(claude_code, "RETRIES", 1)
    monkeypatch.setattr(codex, "CONFIG", codex.CONFIG.replace(f"retries = {codex.RETRIES}", "retries = 1"))
    runs = [crew.hand(thread, say("plain"), bot=crew.bot(name, name), by=ada) for name in APIS]
    model.stop()
    asides = [crew.aside(run) for run in runs]
    for aside in asides:
        aside.join()
    assert [ends(crew, run) for run in runs] == [("failed", "provider_down")] * 3
    assert model.requests == []


@PI
def test_a_program_that_has_gone_when_its_turn_comes(crew, bot, thread, ada, settings, machines, tmp_path):
    run = crew.hand(thread, say("plain"), bot=bot, by=ada)
    settings.RUNTIMES = machines.programs = tmp_path / "nowhere"
    crew.follow(run)
    assert ends(crew, run)[0] == "failed"
    assert "runtimes install" in crew.payload(run, "run_finished")["reason"]


@EVERYBODY
def test_the_longest_prompt_there_may_be(crew, bot, thread, ada, model):
    marker = say("plain", text="That was long.")
    run = crew.done(thread, "y" * (256 * 1024 - len(marker) - 1) + " " + marker, bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    assert model.requests[0].user.count("y") >= 256 * 1024 - len(marker) - 1


@EVERYBODY
@pytest.mark.parametrize("script", [impostors.GARBAGE, impostors.SILENT], ids=["garbage", "nothing"])
def test_output_that_is_not_what_it_should_be(crew, bot, agent, thread, ada, instead, script):
    instead(agent, script)
    run = crew.done(thread, "anything", bot=bot, by=ada)
    assert ends(crew, run) == ("failed", "crashed")
    if script == impostors.GARBAGE:
        assert "not json" in [event["payload"]["text"] for event in crew.events(run, "pi.line")]


@PI
@pytest.mark.parametrize("script", [impostors.NOISE, impostors.LONG_LINE], ids=["100 MB", "a line of 20 MB"])
def test_output_without_end(crew, bot, agent, thread, ada, instead, script):
    instead(agent, script)
    run = crew.done(thread, "anything", bot=bot, by=ada)
    assert ends(crew, run)[0] == "failed"
    told = crew.events(run.thread)
    assert len(told) < 300 and max(len(str(event)) for event in told) < 20_000


@PI
@pytest.mark.parametrize("said", impostors.TELLTALES)
def test_what_a_program_gives_away_is_told_to_nobody(crew, bot, agent, thread, ada, oak, instead, said):
    """Whatever it prints, and says last; and prices of its own making end nothing."""
    instead(agent, impostors.telltale(said))
    run = crew.done(thread, "anything", bot=bot, by=ada)
    crew.again(run)
    status, shown = impostors.TELLTALES[said]
    finished = crew.payload(run, "run_finished")
    assert run.status == finished["status"] == status
    assert finished["summary" if status == "completed" else "reason"].startswith(shown)
    with inside(oak, ada):
        rows = [*InboxEntry.objects.values_list("text", flat=True), str(Spending.objects.told(run.pk))]
    for told in (crew.events(run.thread), crew.events(thread), run.reason, run.session, rows):
        assert KEY not in str(told)
    printed = "".join(event["payload"]["text"] for event in crew.events(run, "pi.tool_output"))
    assert printed == ("a [secret the model's key] b" if said == "all" else "")


@PI
def test_a_program_that_hears_no_signal_is_ended_all_the_same(crew, bot, agent, thread, ada, bo, instead, machines):
    instead(agent, impostors.DEAF)
    run = crew.hand(thread, "anything", bot=bot, by=ada)
    aside = crew.aside(run)
    crew.comes(run, "pi.line", text="deaf")
    everything = crew.processes(run, machines)
    began = time.monotonic()
    crew.stop(run, by=bo)
    until(lambda: not living(everything), "the end of all its processes")
    assert time.monotonic() - began < 2
    aside.join()
    assert crew.status(run) == ("cancelled", "stopped")


@EVERYBODY
def test_a_tool_that_prints_a_hundred_megabytes(crew, bot, thread, ada):
    run = crew.done(thread, say("noise"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    told = crew.events(run.thread)
    assert len(json_of(told)) < 5_000_000


@PI
def test_a_tool_that_prints_a_line_of_twenty_megabytes(crew, bot, thread, ada):
    run = crew.done(thread, say("longline"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")


@PI
def test_an_answer_of_a_megabyte_without_an_end_of_line(crew, bot, thread, ada):
    run = crew.done(thread, say("long", size=1_000_000), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")


@PI
def test_a_tree_with_more_files_than_anybody_reads(crew, bot, thread, ada):
    """Twenty thousand here, for the sake of everybody's time; a hundred thousand came out the same."""
    making = say("shell", command="mkdir many && cd many && seq 20000 | xargs touch && ls | wc -l")
    run = crew.done(thread, making, bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    finished = crew.payload(run, "run_finished")
    assert len(finished["changed"]) + finished["more"] == 20_000


def json_of(events):
    return "".join(str(event["payload"]) for event in events)
