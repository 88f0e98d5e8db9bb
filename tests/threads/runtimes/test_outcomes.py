"""How a run ended when the program did not say it: the facts of its process."""

import orjson
import pytest

from sandboxes.provider import Exit
from tests.threads.runtimes.recorded import feed, task
from threads.runtimes.adapters import ADAPTERS, adapter

PROGRAMS = sorted(ADAPTERS)
SPOKE = {
    "pi": b'{"type":"agent_start"}',
    "claude-code": b'{"type":"system","subtype":"init","session_id":"s"}',
    "codex": b'{"id":1,"result":{}}',
}


def outcome(program, printed, ended, *, stop_asked=False):
    one = adapter(program, task())
    feed(one, printed)
    return one.outcome(ended, stop_asked=stop_asked)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_never_began_crashed_and_its_last_line_says_why(program):
    ended = outcome(program, [b"node: not found"], Exit(reason="exited", code=127))
    assert (ended.status, ended.code) == ("failed", "crashed")
    assert "127" in ended.sentence and "node: not found" in ended.sentence


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("reason", ["memory", "wall_time", "output_limit", "cpu_time", "lost", "not_started"])
def test_a_limit_that_ended_it_is_named(program, reason):
    ended = outcome(program, [SPOKE[program]], Exit(reason=reason, code=137))
    assert (ended.status, ended.code) == ("failed", reason) and Exit(reason=reason).sentence in ended.sentence


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_a_program_that_goes_away_without_a_last_word_is_orphaned_whatever_its_exit_code(program, code):
    ended = outcome(program, [SPOKE[program]], Exit(reason="exited", code=code))
    assert (ended.status, ended.code) == ("failed", "orphaned")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_somebody_stopped_is_cancelled(program):
    for ended in (
        outcome(program, [SPOKE[program]], Exit(reason="stopped", code=143), stop_asked=True),
        outcome(program, [SPOKE[program]], Exit(reason="exited", code=143), stop_asked=True),
        outcome(program, [], None, stop_asked=True),
    ):
        assert (ended.status, ended.code) == ("cancelled", "stopped")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_ended_with_its_machine_was_interrupted_and_can_go_on(program):
    ended = outcome(program, [SPOKE[program]], Exit(reason="stopped", code=143))
    assert (ended.status, ended.code) == ("failed", "interrupted") and "Say something to go on." in ended.sentence


def said(reason, text="", error=""):
    content = [{"type": "text", "text": text}] if text else []
    message = {"role": "assistant", "stopReason": reason, "content": content, "errorMessage": error}
    return {"type": "message_end", "message": message}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("401: invalid api key", "provider_auth"),
        ("403: permission_error", "provider_auth"),
        ("429: rate limited", "provider_busy"),
        ("404: no such model", "provider_refused"),
        ("400: bad request", "provider_refused"),
        ("502: cannot be reached", "provider_down"),
        ("Connection error.", "provider_down"),
        ("", "provider_down"),
    ],
)
def test_what_the_provider_said_decides_what_somebody_has_to_do(error, code):
    ended = outcome("pi", [orjson.dumps(said("error", error=error)), b'{"type":"agent_settled"}'], None)
    assert (ended.status, ended.code) == ("failed", code) and ended.sentence.endswith(".")


def test_an_agent_that_did_something_and_said_nothing_has_done_it():
    call = {"type": "tool_execution_start", "toolCallId": "c", "toolName": "bash", "args": {"command": "true"}}
    printed = [orjson.dumps(one) for one in (call, said("stop"), {"type": "agent_settled"})]
    assert outcome("pi", printed, None).status == "completed"


def test_a_long_last_word_is_cut_to_a_summary():
    printed = [orjson.dumps(said("stop", "word " * 5000)), b'{"type":"agent_settled"}']
    assert len(outcome("pi", printed, None).summary) == 2000
