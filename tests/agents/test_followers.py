"""What whoever follows a run may meet: lines without end, too much at once, others in its place, and arbe's own end."""

import pytest

from houses.tenancy import inside
from sandboxes.redaction import Redactor
from tests.agents.conftest import until
from tests.agents.scenarios import say
from threads import jobs
from threads.following import commands
from threads.following.driving import AT_ONCE, Drive
from threads.models import Command

PI = pytest.mark.parametrize("agent", ["pi"], indirect=True)
MUCH = """
import json
def tell(**said): print(json.dumps(said))
tell(type="agent_start")
print("x" * 5_000_000)
for n in range(1500):
    call = {"toolCallId": f"c{n}", "toolName": "bash"}
    tell(type="tool_execution_start", **call, args={"command": f"echo {n}", "text": "\\x01" * 2000})
    tell(type="tool_execution_end", **call, result={"content": [{"type": "text", "text": "\\x01" * 2000}]})
tell(type="message_end", message={"role": "assistant", "content": "\\U0001f600" * 200_000, "stopReason": "stop"})
tell(type="agent_settled")
"""


@PI
def test_a_long_line_and_much_behind_it_is_told_whole(crew, bot, agent, thread, ada, instead):
    """All of it is there before anybody reads."""
    instead(agent, f"cat > /tmp/much.py <<'END'\n{MUCH}\nEND\npython3 /tmp/much.py > /tmp/much; cat /tmp/much")
    run = crew.hand(thread, "anything", bot=bot, by=ada)
    crew.follow(run)
    assert crew.status(run) == ("completed", ""), crew.payload(run, "run_finished")["reason"]
    asked = [event["payload"]["call_id"] for event in crew.events(run, "pi.tool_call")]
    assert asked == [event["payload"]["call_id"] for event in crew.events(run, "pi.tool_result")]
    assert asked == [f"c{number}" for number in range(1500)]
    assert [event["payload"]["bytes"] for event in crew.events(run, "pi.line")] == [5_000_000]


@PI
def test_nobody_turns_round_and_round_before_a_line_that_has_not_ended(
    crew, bot, agent, thread, ada, instead, machines, monkeypatch
):
    script = f"head -c {AT_ONCE} /dev/zero | tr '\\0' x; until [ -e tree/go ] || [ -e go ]; do sleep 0.05; done"
    instead(agent, script)
    wait, waited = machines.wait, []

    def noted(ref, process, size, *args, **options):
        waited.append(size)
        return wait(ref, process, size, *args, **options)

    monkeypatch.setattr(machines, "wait", noted)
    run = crew.hand(thread, "anything", bot=bot, by=ada)
    aside = crew.aside(run)
    until(lambda: AT_ONCE in waited, "more than what is there")
    (machines.root / crew.place(run) / "tree" / "go").touch()
    aside.join()


@PI
def test_one_that_ends_with_arbe_goes_on_with_what_waits(crew, bot, agent, thread, ada, bo, model, machines):
    run = crew.hand(thread, say("hang"), bot=bot, by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hang")
    crew.say(run, say("plain", text="as you wish"), by=bo, waits=True)
    machines.stop(crew.place(run), run.pk)
    aside.join()
    assert crew.payload(run, "run_finished")["status"] == "failed"
    assert crew.payload(run, "signal.thread.pi_failed")["error_class"] == "interrupted"
    assert crew.payload(crew.next(run), "run_finished")["summary"] == "as you wish"


@PI
def test_whoever_is_late_keeps_no_files_of_a_run_that_is_over(crew, bot, agent, thread, ada):
    run = crew.hand(thread, say("plain"), bot=bot, by=ada)
    late = crew.claim(run)
    crew.lapse(run)
    crew.follow(run)
    kept = run.session
    with inside(crew.house):
        late.refresh_from_db(fields=["sandbox", "session"])
        snapshot = late.sandbox.snapshot
    late.session["tree"] = "something older"
    Drive(late, Redactor({})).look_after._keep_files()
    crew.again(run)
    with inside(crew.house):
        run.sandbox.refresh_from_db()
        assert (run.session, run.sandbox.snapshot) == (kept, snapshot)


@PI
def test_those_who_wait_leave_places_to_those_they_wait_for(
    crew, bot, agent, thread, ada, model, settings, monkeypatch
):
    settings.FOLLOWED_AT_ONCE = 1
    monkeypatch.setattr(commands, "PLACES", {})
    waits = crew.hand(thread, say("hold", name="end"), bot=bot, by=ada)
    jobs.drive(crew.house.pk, waits.pk)
    model.awaits(scenario="hold")
    beside, below = (crew.hand(thread, say("plain", text="done"), bot=bot, by=ada) for _ in range(2))
    with inside(crew.house):
        Command.objects.filter(pk=below.pk).update(depth=waits.depth + 1)
    command = crew.ask(thread, "echo done", by=ada)
    for asked in (beside, below, command):
        jobs.drive(crew.house.pk, asked.pk)
    until(lambda: crew.events(below, "run_finished"), "the end of a deeper run")
    until(lambda: crew.events(command, "command_finished"), "the end of a command")
    crew.again(beside)
    assert beside.status == "queued"
    model.let_go("end")
    until(lambda: crew.events(waits, "run_finished"), "its end")
    until(lambda: free(commands.PLACES.values()), "the end of whoever followed")


def free(places):
    return all(one._value == 1 for one in places)
