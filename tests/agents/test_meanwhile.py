"""While a real agent works: people speak to it, stop it, or it dies."""

import signal
import time

import pytest

from houses.tenancy import inside
from tests.agents.conftest import PROGRAMS, living, until
from tests.agents.scenarios import say
from threads.waiting import WaitingMessage


@pytest.fixture
def at_work(crew, bot, thread, ada, model):
    """A run that waits for its model, which answers when it is let `go`."""
    run = crew.hand(thread, say("hold", name="go"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hold")
    yield run
    model.let_go("go")
    aside.join(60)


def test_what_is_said_meanwhile_steers_it(crew, at_work, ada, bo, model):
    crew.say(at_work, f"Rather this. {say('plain', text='as you wish')}", by=bo)
    message = crew.payload(at_work.thread, "message_waiting")
    crew.comes(at_work, "message_handed_over", message_id=message["message_id"])
    model.let_go("go")
    steered = model.awaits(scenario="plain")
    assert "Rather this." in steered.user
    taken = crew.comes(at_work.thread, "signal.dispatch.steer_taken", message_id=message["message_id"])
    assert taken["run_id"] == at_work.pk
    until(lambda: crew.events(at_work, "run_finished"), "its end")
    assert crew.status(at_work) == ("completed", "")
    assert crew.payload(at_work, "run_finished")["summary"] == "as you wish"
    said = [event["author_agent_id"] for event in crew.events(at_work.thread, "message")]
    assert said == [str(ada.pk), str(bo.pk)]


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
    until(lambda: any("6007.25" in " ".join(_words(one)) for one in crew.processes(run, machines)), "its tool")
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


def test_one_that_is_killed_is_orphaned(crew, bot, agent, thread, ada, model, machines):
    run = crew.hand(thread, say("hang"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hang")
    (program,) = [one for one in crew.processes(run, machines) if _is_program(one, agent)]
    program.send_signal(signal.SIGKILL)
    aside.join()
    assert crew.status(run) == ("failed", "orphaned")
    assert crew.payload(run, "signal.thread.pi_session_orphaned")["run_id"] == run.pk
    assert crew.payload(run, "run_finished")["reason"]


def test_after_it_was_killed_it_goes_on_when_somebody_says_so(crew, bot, agent, thread, ada, model, machines):
    run = crew.hand(thread, say("hang"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hang")
    (program,) = [one for one in crew.processes(run, machines) if _is_program(one, agent)]
    program.send_signal(signal.SIGKILL)
    aside.join()
    crew.say(run, say("write"), by=ada)
    assert crew.status(crew.next(run)) == ("completed", "")


def test_its_machine_may_die_under_it(crew, bot, thread, ada, model, machines):
    run = crew.hand(thread, say("hang"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hang")
    crew.gone(run, machines)
    aside.join()
    assert crew.status(run)[0] == "failed"
    crew.say(run, say("write"), by=ada)
    assert crew.status(crew.next(run)) == ("completed", "")


def _words(process):
    try:
        return process.cmdline()
    except Exception:  # noqa: BLE001  # gone
        return []


def _is_program(process, agent):
    words = _words(process)
    ours = any(word.endswith((f"/bin/{PROGRAMS[agent]}", f"/{PROGRAMS[agent]}", "cli.js")) for word in words[:3])
    return ours and "bwrap" not in words[0]
