"""Whoever follows a run may be killed at any line: another goes on, and everything is told and said once."""

import pytest

from tests.agents.scenarios import say, shell

STEPS = say("chain", steps=[shell("echo one >> a.txt"), shell("echo two >> a.txt")], then="Both.")
MOMENTS = [
    ("pi", "Drive._pour", "call"),
    ("pi", "Drive._append", "call"),
    ("pi", "Drive._append", "return"),
    ("pi", "Drive._end", "call"),
    ("pi", "keep_run", "call"),
    ("claude-code", "Drive._append", "call"),
    ("codex", "Drive.send", "return"),
    ("codex", "Drive._append", "return"),
]


@pytest.mark.parametrize(("agent", "at", "moment"), MOMENTS, indirect=["agent"])
def test_its_follower_is_killed(crew, bot, thread, ada, model, at, moment):
    run = crew.hand(thread, STEPS, bot=bot, by=ada)
    crew.killed(run, at, moment)
    crew.follow(run)
    assert crew.status(run) == ("completed", "")
    assert [one.turn for one in model.heard(scenario="chain")] == [0, 1, 2]
    results = [event["payload"] for event in crew.events(run, "pi.tool_result")]
    calls = [event["payload"] for event in crew.events(run, "pi.tool_call")]
    assert len(calls) == len(results) == 2
    assert [one["call_id"] for one in calls] == [one["call_id"] for one in results]
    said = [event["payload"]["text"] for event in crew.events(run, "pi.assistant")]
    assert said.count("Both.") == 1
    assert len(crew.events(run, "run_finished")) == len(crew.events(run, "signal.dispatch.session_started")) == 1
