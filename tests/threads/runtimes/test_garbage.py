"""Programs may print anything; an adapter never fails over it, and the run still ends in some way."""

import random

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandboxes.provider import Exit
from tests.threads.runtimes.recorded import FOLDER, Everything, feed, heard, lines, raw, task
from threads.agent_events import PiAssistant, PiLine, PiToolCall, PiToolOutput, PiToolResult
from threads.runtimes.adapters import ADAPTERS, adapter

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
STATUSES = {"completed", "failed", "cancelled"}
GONE = Exit(reason="exited", code=137, signal=9)
PROGRAMS = sorted(ADAPTERS)
KINDS = ["message_end", "tool_execution_update", "agent_settled", "result", "assistant", "user", "system", "session"]
KINDS += ["item.completed", "item.started", "turn.failed", "turn.completed", "error", "response", "auto_retry_start"]
METHODS = ["item/started", "item/completed", "turn/started", "turn/completed", "error", "thread/tokenUsage/updated"]
WORDS = ["type", "method", "id", "params", "item", "turn", "message", "content", "usage", "result", "error", "status"]
WORDS += ["role", "text", "args", "input", "command", "codexErrorInfo", "partialResult", "toolCallId", "is_error"]

anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
    | st.sampled_from(["assistant", "user", "tool_use", "text", "commandExecution", "agentMessage", "file_change"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(WORDS), anything, max_size=6)


def program_of(name: str) -> str:
    return {"pi": "pi", "claude": "claude-code", "codex": "codex"}[name.split("-", maxsplit=1)[0]]


def ended(one) -> str:
    assert one.outcome(None, stop_asked=False).status in STATUSES
    return one.outcome(GONE, stop_asked=False).status


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_that_is_cut_anywhere_is_decided(name):
    whole = b"\n".join(lines(name))
    chance = random.Random(name)
    for at in [0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(15))]:
        one = adapter(program_of(name), task())
        feed(one, whole[:at].splitlines())
        assert ended(one) in STATUSES


@pytest.mark.parametrize("name", NAMES)
def test_garbage_between_the_lines_changes_nothing_but_what_is_kept(name):
    clean = heard(program_of(name), name)
    chance = random.Random(name)
    mixed = []
    for line in lines(name):
        mixed += [line, bytes(chance.randrange(256) for _ in range(30)).replace(b"\n", b"").replace(b"{", b"")]
    one = adapter(program_of(name), task())
    dirty = feed(one, mixed)
    assert [event for event in dirty.events if not isinstance(event, PiLine)] == clean.events
    assert dirty.of(PiLine.kind)


@pytest.mark.parametrize("program", PROGRAMS)
@given(said=objects, kind=st.sampled_from(KINDS), method=st.sampled_from(["", *METHODS]))
@example(said={"message": {"role": "assistant", "usage": {"input": 1e308}}}, kind="message_end", method="")
@settings(max_examples=100, deadline=None)
def test_objects_of_any_shape_are_heard(program, said, kind, method):
    one = adapter(program, task())
    line = orjson.dumps(said | {"type": kind} | ({"method": method} if method else {}))
    for found in (one.hear(line), one.hear(line)):
        for event in found.events:
            orjson.dumps(event.payload)
    assert ended(one) in STATUSES


@pytest.mark.parametrize("program", PROGRAMS)
@given(line=st.binary(max_size=200))
@example(line=b"[" * 200_000)
@example(line=b'{"a":' * 5000)
@example(line=b'{"type":"message_end","message":{"role":"assistant","content":"half \\ud83d"}}')
@settings(deadline=None)
def test_bytes_of_any_kind_are_heard(program, line):
    one = adapter(program, task())
    one.hear(line)
    assert ended(one) in STATUSES


@pytest.mark.parametrize("name", NAMES)
def test_every_single_line_can_be_turned_over(name):
    """Each value of a real line is replaced by values of other kinds."""
    for line in lines(name)[-25:]:
        said = orjson.loads(line)
        for key in said:
            for wrong in (None, 7, -1.5, "word", [], ["x"], {}, {"type": 3}, True):
                adapter(program_of(name), task()).hear(orjson.dumps(said | {key: wrong}))


@pytest.mark.parametrize("program", PROGRAMS)
def test_unknown_lines_are_kept_but_not_all_of_them(program):
    everything = feed(adapter(program, task()), [b"Traceback, line %d" % number for number in range(1000)])
    kept = everything.of(PiLine.kind)
    assert len(kept) == 201 and kept[0].text == "Traceback, line 0" and "more such lines" in kept[-1].text


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_long_line_is_kept_by_its_beginning(program):
    (kept,) = feed(adapter(program, task()), [b"x" * 20_000_000]).events
    assert len(kept.text) == 4096 and kept.bytes == 20_000_000


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_empty_line_is_nothing(program):
    assert feed(adapter(program, task()), [b"", b"  ", b"\t"]) == Everything()


def test_half_a_character_does_not_cost_the_message():
    line = b'{"type":"message_end","message":{"role":"assistant","stopReason":"stop","content":"so \\ud83d far"}}'
    (said,) = feed(adapter("pi", task()), [line]).of(PiAssistant.kind)
    assert said.text == "so ? far"


def test_no_event_carries_the_character_that_a_database_refuses():
    def message(**more):
        return orjson.dumps({"type": "message_end", "message": {"role": "assistant", "stopReason": "stop"} | more})

    start = {
        "type": "tool_execution_start",
        "toolCallId": "a\0b",
        "toolName": "t\0",
        "args": {"x\0": "y\0", "z": ["\0"]},
    }
    end = {"type": "tool_execution_end", "toolCallId": "a\0b", "toolName": "t\0", "result": {"content": "r\0"}}
    one = adapter("pi", task())
    printed = [message(content="a\0b", model="m\0"), orjson.dumps(start), orjson.dumps(end), b"stray \0"]
    everything = feed(one, [*printed, b'{"type":"agent_settled"}'])
    assert len(everything.events) == 4
    assert not any(b"\\u0000" in orjson.dumps(event.payload) for event in everything.events)
    assert "\0" not in one.outcome(None, stop_asked=False).summary


def update(text: str) -> bytes:
    return orjson.dumps(
        {
            "type": "tool_execution_update",
            "toolCallId": "c",
            "partialResult": {"content": [{"type": "text", "text": text}]},
        }
    )


def test_a_tool_that_prints_a_lot_is_shown_by_its_last_lines_from_time_to_time():
    delta = {
        "method": "item/commandExecution/outputDelta",
        "params": {"itemId": "c", "delta": "0123456789abcde\n" * 64},
    }
    everything = feed(adapter("codex", task()), [orjson.dumps(delta)] * 4000)  # 4 MB
    shown = sum(len(event.text) for event in everything.of(PiToolOutput.kind))
    assert 64 * 1024 < shown < 512 * 1024
    assert all(len(event.text) <= 130 * 1024 for event in everything.events)


def test_output_told_as_a_sliding_window_is_told_once():
    whole = "".join(f"line {number}\n" for number in range(3000))
    windows = [whole[max(0, end - 5000) : end] for end in range(1000, len(whole), 1000)] + [whole[-5000:]]
    everything = feed(adapter("pi", task()), [update(window) for window in windows])
    assert "".join(event.text for event in everything.of(PiToolOutput.kind)) == whole


def test_a_long_result_keeps_both_ends_and_says_what_is_left_out():
    end = {
        "type": "tool_execution_end",
        "toolCallId": "c",
        "toolName": "bash",
        "result": {"content": "a" * 10**6 + "end"},
    }
    (result,) = feed(adapter("pi", task()), [orjson.dumps(end)]).of(PiToolResult.kind)
    assert result.left_out == 10**6 + 3 - 64 * 1024
    assert result.text.startswith("aaa") and result.text.endswith("end") and "left out" in result.text
    assert len(result.text) < 66 * 1024


def test_long_arguments_are_cut():
    arguments = {
        "path": "a.md",
        "content": "x" * 10**6,
        "edits": [{"old": "y" * 10**6}],
        **{f"n{n}": "z" * 9999 for n in range(99)},
    }
    start = {"type": "tool_execution_start", "toolCallId": "c", "toolName": "write", "args": arguments}
    (call,) = feed(adapter("pi", task()), [orjson.dumps(start)]).of(PiToolCall.kind)
    assert call.title == "a.md" and call.arguments["path"] == "a.md"
    assert len(orjson.dumps(call.payload)) < 100_000


def test_what_comes_of_a_line_of_20_mb_is_short():
    long = b"word " * 4_000_000
    printed = [
        update(long.decode()),
        b'{"type":' + b"[" * 1000 + long,
        b"{" + long,
        b'{"type":"new","x":"' + long + b'"}',
    ]
    everything = feed(adapter("pi", task()), printed)
    assert len(everything.events) == 4 and len(everything.of(PiLine.kind)) == 3
    assert all(len(orjson.dumps(event.payload)) < 200_000 for event in everything.events)


def test_what_was_sent_is_in_no_recording_by_mistake():
    assert all(b"> " not in line[:2] for name in NAMES for line in lines(name)) and raw(NAMES[0])


def test_tokens_and_prices_that_somebody_made_up_have_an_end():
    usage = {"input": 1e30, "output": 1e300, "cacheRead": -5, "cost": {"total": 1e30}}
    message = {"role": "assistant", "content": "x", "usage": usage}
    line = orjson.dumps({"type": "message_end", "message": message})
    (spent,) = feed(adapter("pi", task()), [line]).of("pi.usage")
    assert (spent.input, spent.output, spent.cache_read, spent.usd) == (10**9, 10**9, 0, 10_000.0)
