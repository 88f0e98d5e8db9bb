"""What real programs printed, and how each of those runs ended."""

from pathlib import Path

import pytest

from sandboxes.provider import Exit
from tests.threads.runtimes.recorded import FOLDER, fed, heard, lines, task
from threads.agent_events import PiAssistant, PiRetry, PiToolCall, PiToolOutput, PiToolResult, PiUsage
from threads.runtimes.adapters import adapter

ENDED = Exit(reason="exited", code=0)
KILLED = Exit(reason="exited", code=137, signal=9)
TERMINATED = Exit(reason="exited", code=143, signal=15)

# fixture, program, exit, status, code, the beginning of the summary
RUNS = [
    ("pi-json-plain", "pi", ENDED, "completed", "", "Hello from the fake model."),
    ("pi-json-tool", "pi", ENDED, "completed", "", "Done: wrote out.txt."),
    ("pi-json-toolfail", "pi", ENDED, "completed", "", "The command failed with status 3."),
    ("pi-json-http401", "pi", ENDED, "failed", "provider_auth", ""),
    ("pi-json-http500-retries", "pi", ENDED, "failed", "provider_down", ""),
    ("pi-json-cut", "pi", ENDED, "failed", "provider_down", "half an ans"),
    ("pi-json-length", "pi", ENDED, "failed", "length", "This answer is cut"),
    ("pi-json-lengthmax", "pi", ENDED, "failed", "length", "This answer is cut at the limit"),
    ("pi-json-empty", "pi", ENDED, "failed", "empty_answer", ""),
    ("pi-json-sigterm-tool", "pi", TERMINATED, "failed", "orphaned", ""),
    ("pi-json-sigkill", "pi", KILLED, "failed", "orphaned", ""),
    ("pi-rpc-tool", "pi", None, "completed", "", "Done: wrote out.txt."),
    ("pi-rpc-http401", "pi", None, "failed", "provider_auth", ""),
    ("pi-rpc-steer", "pi", None, "completed", "", "user messages so far: 3"),
    ("pi-rpc-abort-tool", "pi", None, "failed", "aborted", ""),
    ("pi-rpc-abort-stream", "pi", None, "completed", "", "user messages so far: 2"),
    ("pi-rpc-eof-running", "pi", KILLED, "failed", "orphaned", ""),
    ("claude-plain", "claude-code", ENDED, "completed", "", ""),
    ("claude-tool", "claude-code", ENDED, "completed", "", "Done: wrote out.txt."),
    ("claude-http401", "claude-code", Exit(reason="exited", code=1), "failed", "provider_auth", ""),
    ("claude-http500", "claude-code", Exit(reason="exited", code=1), "failed", "provider_down", ""),
    ("claude-length", "claude-code", ENDED, "completed", "", "Hello from the fake model."),
    ("claude-empty", "claude-code", ENDED, "failed", "empty_answer", ""),
    ("claude-sigterm-tool", "claude-code", TERMINATED, "failed", "orphaned", ""),
    ("claude-si-steer", "claude-code", None, "completed", "", "Slept; nobody steered me."),
    ("claude-si-interrupt", "claude-code", None, "completed", "", "user messages so far: 2"),
    ("codex-plain", "codex", ENDED, "completed", "", "user messages so far: 2"),
    ("codex-resume", "codex", ENDED, "completed", "", "user messages so far: 3"),
    ("codex-tool", "codex", ENDED, "completed", "", "Done: wrote out.txt."),
    ("codex-toolfail", "codex", ENDED, "completed", "", "The command failed with status 3."),
    ("codex-http401", "codex", Exit(reason="exited", code=1), "failed", "provider_auth", ""),
    ("codex-http500", "codex", Exit(reason="exited", code=1), "failed", "provider_down", ""),
    ("codex-cut", "codex", Exit(reason="exited", code=1), "failed", "provider_down", ""),
    ("codex-length", "codex", Exit(reason="exited", code=1), "failed", "length", "This answer is cut"),
    ("codex-empty", "codex", ENDED, "failed", "empty_answer", ""),
    ("codex-sigterm-tool", "codex", TERMINATED, "failed", "orphaned", ""),
    ("codex-appserver-length", "codex", None, "failed", "length", "This answer is cut"),
    ("codex-appserver-empty", "codex", None, "failed", "empty_answer", ""),
    ("codex-appserver-http500", "codex", None, "failed", "provider_down", ""),
    ("codex-appserver-cut", "codex", None, "failed", "provider_down", ""),
    ("codex-appserver-interrupt", "codex", None, "completed", "", "user messages so far: 5"),
]


def test_every_fixture_has_its_outcome_here():
    assert {name for name, *_ in RUNS} == {path.stem for path in Path(FOLDER).glob("*.jsonl")}


@pytest.mark.parametrize(("name", "program", "ended", "status", "code", "summary"), RUNS, ids=[run[0] for run in RUNS])
def test_a_run_ends_as_it_really_ended(name, program, ended, status, code, summary):
    one = fed(program, name)
    outcome = one.outcome(ended, stop_asked=False)
    assert (outcome.status, outcome.code) == (status, code)
    assert outcome.summary.startswith(summary)
    assert bool(outcome.sentence) == (status != "completed")


@pytest.mark.parametrize(("name", "program"), [run[:2] for run in RUNS if run[3] == "failed"])
def test_a_run_that_somebody_stopped_says_so(name, program):
    outcome = fed(program, name).outcome(TERMINATED, stop_asked=True)
    assert (outcome.status, outcome.code) == ("cancelled", "stopped")


@pytest.mark.parametrize(("name", "program"), [run[:2] for run in RUNS if run[3] == "completed"])
def test_a_run_that_was_done_before_it_was_stopped_is_done(name, program):
    assert fed(program, name).outcome(TERMINATED, stop_asked=True).status == "completed"


@pytest.mark.parametrize(("name", "program"), [run[:2] for run in RUNS])
def test_nothing_that_a_real_program_printed_is_unknown(name, program):
    assert heard(program, name).of("pi.line") == []


@pytest.mark.parametrize(("name", "program"), [run[:2] for run in RUNS])
def test_what_was_heard_twice_means_the_same(name, program):
    assert heard(program, name) == heard(program, name)


@pytest.mark.parametrize(
    ("name", "program", "at"),
    [("pi-rpc-abort-stream", "pi", 1), ("claude-si-interrupt", "claude-code", 1)],
)
def test_an_interrupt_ends_what_it_does(name, program, at):
    one = adapter(program, task())
    overs = 0
    for line in lines(name):
        overs += one.hear(line).over
        if overs == at:
            break
    assert one.outcome(None, stop_asked=True).status == "cancelled"
    assert one.outcome(None, stop_asked=False).code == "aborted"


WRITE, FAIL = "printf 'hello from the agent\\n' > out.txt && cat out.txt", "echo oops >&2; exit 3"


@pytest.mark.parametrize(
    ("name", "program", "tool", "command", "output", "exit_code"),
    [
        ("pi-json-toolfail", "pi", "bash", FAIL, "oops\n\n\nCommand exited with code 3", 3),
        ("codex-toolfail", "codex", "shell", FAIL, "oops\n", 3),
        ("pi-rpc-tool", "pi", "bash", WRITE, "hello from the agent\n", 0),
        ("codex-tool", "codex", "shell", WRITE, "hello from the agent\n", 0),
        ("claude-tool", "claude-code", "Bash", WRITE, "hello from the agent", None),
    ],
)
def test_a_tool_call_is_told_with_its_result(name, program, tool, command, output, exit_code):
    events = heard(program, name)
    (call,), (result,) = events.of(PiToolCall.kind), events.of(PiToolResult.kind)
    assert (call.tool, call.title, call.arguments["command"]) == (tool, command, command)
    assert (result.call_id, result.tool, result.text, result.exit_code) == (call.call_id, tool, output, exit_code)
    assert result.is_error == bool(exit_code)


def test_output_is_told_while_a_tool_runs_and_only_what_is_new():
    assert [event.text for event in heard("pi", "pi-rpc-abort-tool").of(PiToolOutput.kind)] == ["started\n"]
    assert [event.text for event in heard("codex", "codex-appserver-interrupt").of(PiToolOutput.kind)] == ["slept\n"]


@pytest.mark.parametrize(
    ("name", "program", "taken"),
    [
        ("pi-rpc-steer", "pi", ["STEERED: [[fake:count]]", "FOLLOWUP: [[fake:count]]"]),
        ("codex-appserver-interrupt", "codex", ["x [[fake:steer]]", "STEERED [[fake:count]]"]),
    ],
)
def test_what_the_agent_has_read_is_known(name, program, taken):
    first = {"pi": "x [[fake:steer]]", "codex": "x [[fake:slowtool]]"}[program]
    assert heard(program, name, prompt=first).took == taken


@pytest.mark.parametrize(
    ("name", "program", "read", "wrote"),
    [
        ("pi-json-tool", "pi", 22, 14),
        ("claude-tool", "claude-code", 22, 14),
        ("claude-si-steer", "claude-code", 22, 14),
        ("claude-http401", "claude-code", 0, 0),
        ("codex-tool", "codex", 22, 14),
        ("codex-appserver-interrupt", "codex", 33, 21),
    ],
)
def test_tokens_are_counted_once(name, program, read, wrote):
    spent = heard(program, name).of(PiUsage.kind)
    assert (sum(one.input for one in spent), sum(one.output for one in spent)) == (read, wrote)


def test_retries_are_told():
    retries = heard("pi", "pi-json-http500-retries").of(PiRetry.kind)
    assert [(one.attempt, one.attempts, one.seconds) for one in retries] == [(1, 3, 2.0), (2, 3, 4.0), (3, 3, 8.0)]
    assert {one.reason for one in retries} == {"500: internal error (fake)"}


def test_half_an_answer_that_is_asked_for_again_is_not_told():
    assert heard("pi", "pi-json-cut").of(PiAssistant.kind) == []
