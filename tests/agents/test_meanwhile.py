"""While a real agent works: people speak to it, stop it, or it dies."""

import signal
import time

import pytest

from houses.tenancy import inside
from tests.agents.conftest import executable, living, until
from tests.agents.scenarios import say, shell
from threads.waiting import WaitingMessage

BUSY = [shell("echo began; until [ -e go ]; do sleep 0.05; done"), *[shell(f"echo {n}") for n in range(40)]]


@pytest.fixture
def at_work(crew, bot, thread, ada, model):
    """A run that waits for its model, which answers when it is let `go`."""
    run = crew.hand(thread, say("hold", name="go"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hold")
    yield run
    model.let_go("go")
    aside.join(60)


def test_what_is_said_meanwhile_steers_it(crew, bot, thread, ada, bo, model, machines):
    run = crew.hand(thread, say("chain", steps=BUSY, then="Nobody steered me."), bot=bot, by=ada)
    aside = crew.aside(run)
    crew.comes(run, "pi.tool_call")
    crew.say(run, f"Rather this. {say('plain', text='as you wish')}", by=bo)
    message = crew.payload(run.thread, "message_waiting")["message_id"]
    assert crew.comes(run, "message_handed_over", message_id=message)["run_id"] == run.pk
    (machines.root / crew.place(run) / "tree" / "go").touch()
    aside.join()
    assert crew.status(run) == ("completed", "")
    assert crew.payload(run, "run_finished")["summary"] == "as you wish"
    assert ["Rather this." in one.user for one in model.heard(scenario="plain")] == [True]
    assert crew.payload(run, "signal.dispatch.steer_taken")["message_id"] == message
    said = [event["author_agent_id"] for event in crew.events(run.thread, "message")]
    assert said == [str(ada.pk), str(bo.pk)]
    assert crew.last(run.thread).pk == run.pk


def test_what_is_said_at_the_last_moment_is_not_lost(crew, at_work, bo, model):
    """It steers the run, or begins the next one."""
    crew.say(at_work, say("plain", text="as you wish"), by=bo)
    crew.comes(at_work, "message_handed_over")
    model.let_go("go")
    until(lambda: crew.events(at_work, "run_finished"), "its end")
    last = crew.last(at_work.thread)
    if last.pk != at_work.pk:
        crew.follow(last)
    assert crew.status(last) == ("completed", "")
    assert crew.payload(last, "run_finished")["summary"] == "as you wish"
    assert len(crew.events(at_work.thread, "message")) == 2


def test_what_waits_begins_the_next_run(crew, at_work, bo, model):
    crew.say(at_work, say("plain", text="one"), by=bo, waits=True)
    crew.say(at_work, say("plain", text="two"), by=bo, waits=True)
    crew.say(at_work, say("plain", text="never"), by=bo, waits=True)
    with inside(crew.house, bo):
        _, second, third = WaitingMessage.objects.still_waiting()
        second.edit(say("count"), by=bo)
        third.withdraw(by=bo)
    model.let_go("go")
    until(lambda: crew.events(at_work, "run_finished"), "its end")
    assert crew.status(at_work) == ("completed", "")
    following = crew.next(at_work)
    assert "never" not in following.text and "text=two" not in following.text
    assert "I was told 2 things" in crew.payload(following, "run_finished")["summary"]


def test_a_stop_ends_everything_and_says_by_whom(crew, bot, thread, ada, bo, machines):
    run = crew.hand(thread, say("slow", seconds="6007.25"), bot=bot, by=ada)
    aside = crew.aside(run)
    crew.comes(run, "pi.tool_call")
    until(lambda: [one for one in crew.processes(run, machines) if executable(one) == "sleep"], "its tool")
    everything = crew.processes(run, machines)
    began = time.monotonic()
    crew.stop(run, by=bo)
    until(lambda: not living(everything), "the end of all its processes")
    assert time.monotonic() - began < 2
    aside.join()
    assert crew.status(run) == ("cancelled", "stopped")
    finished = crew.payload(run, "run_finished")
    assert "Bo" in finished["reason"]
    assert [event["author_agent_id"] for event in crew.events(run, "run_finished")] == [str(bo.pk)]


def test_one_that_is_killed_is_orphaned_and_goes_on_when_somebody_says_so(crew, bot, thread, ada, model, machines):
    run = crew.hand(thread, say("hang"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hang")
    crew.program(run, machines).send_signal(signal.SIGKILL)
    aside.join()
    assert crew.status(run) == ("failed", "orphaned")
    assert crew.payload(run, "signal.thread.pi_session_orphaned")["run_id"] == run.pk
    assert "went away" in crew.payload(run, "run_finished")["reason"]
    crew.say(run, say("write"), by=ada)
    assert crew.status(crew.next(run)) == ("completed", "")


def test_its_provider_may_be_away_for_a_while(crew, bot, thread, ada, model):
    run = crew.hand(thread, say("chain", steps=[shell("echo began")], then="All of it."), bot=bot, by=ada)
    model.stop()
    aside = crew.aside(run)
    crew.comes(run, "pi.retry")
    model.start()
    aside.join()
    assert crew.status(run) == ("completed", "")
    assert crew.payload(run, "run_finished")["summary"] == "All of it."


@pytest.mark.parametrize("agent", ["pi"], indirect=True)
def test_its_machine_may_die_under_it(crew, bot, thread, ada, model, machines):
    run = crew.hand(thread, say("hang"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hang")
    crew.gone(run, machines)
    aside.join()
    assert crew.status(run)[0] == "failed"
    assert crew.payload(run, "run_finished")["reason"]
    crew.say(run, say("write"), by=ada)
    assert crew.status(crew.next(run)) == ("completed", "")


@pytest.mark.parametrize("agent", ["pi"], indirect=True)
def test_a_task_that_no_agent_has_read_is_not_forgotten(crew, bot, thread, ada, oak, model):
    run = crew.hand(thread, "Count the pears.", bot=bot, by=ada)
    with inside(oak):
        run.finish_run("failed", by=bot, code="sandbox", reason="No machine could be had.")
    crew.say(run, f"Try again. {say('plain')}", by=ada)
    crew.next(run)
    assert "Count the pears." in model.requests[0].user and "Try again." in model.requests[0].user
    crew.say(run, say("plain"), by=ada)
    crew.next(run)
    assert "Count the pears." not in model.requests[-1].user
