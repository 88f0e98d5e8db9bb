"""What an agent does is told without secrets, in whatever pieces its program tells it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.redaction import Redactor
from threads.agent_events import PiToolCall, PiToolOutput, PiToolResult
from threads.following.hiding import CALLS, Hiding

SECRETS = {"KEY": b"hunter22", "LONG": b"hunter22-and-more"}


def output(text, call="c"):
    return PiToolOutput(run_id="r", call_id=call, text=text)


def result(text="", call="c"):
    given = {"tool": "bash", "left_out": 0, "is_error": False, "exit_code": 0, "seconds": 1.0}
    return PiToolResult(run_id="r", call_id=call, text=text, **given)


def told(*events):
    """What is shown of a tool's output, all that is told, and what was hidden."""
    hiding, hits = Hiding(Redactor(SECRETS)), Counter()
    found = [one for event in events for one in hiding.told(event, hits)]
    return "".join(said["text"] for kind, said in found if kind == "pi.tool_output"), found, dict(hits)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_secret_across_two_pieces_is_hidden(cut):
    text = "a hunter22 b"
    shown, found, hits = told(output(text[:cut]), output(text[cut:]), result())
    assert shown == "a [secret KEY] b" and hits == {"KEY": 1}
    assert found[-1][0] == "pi.tool_result"


def test_what_was_held_comes_before_the_result():
    shown, found, _ = told(output("see hunt"), result("see hunt"))
    assert shown == "see hunt"
    assert [kind for kind, _ in found] == ["pi.tool_output", "pi.tool_output", "pi.tool_result"]


def test_calls_at_the_same_time_are_not_mixed_up():
    shown, _, _ = told(output("hunt", "a"), output("er22 x", "b"), output("ed", "a"))
    assert shown == "er22 xhunted"


def test_the_names_of_arguments_are_hidden_and_those_of_the_events_fields_are_not():
    call = PiToolCall(run_id="r", call_id="c", tool="bash", title="x", arguments={"hunter22": "text"})
    hiding = Hiding(Redactor({"KEY": b"hunter22", "WORD": b"title", "OTHER": b"text"}))
    ((_, said),) = hiding.told(call, Counter())
    assert said["arguments"] == {"[secret KEY]": "[secret OTHER]"}
    assert set(said) == {"run_id", "call_id", "tool", "title", "arguments"}


def test_calls_that_never_end_take_no_room():
    hiding, hits = Hiding(Redactor(SECRETS)), Counter()
    for number in range(3 * CALLS):
        assert not list(hiding.told(output("hunt", str(number)), hits))
    assert len(hiding._held) <= CALLS


@given(st.lists(st.sampled_from(["h", "hunt", "er22", "hunter22", "-and", "-more", "é", "\x1b[3", "1m", " "])))
def test_however_it_comes_it_is_told_as_the_whole_is(pieces):
    whole, hits = Redactor(SECRETS).clean("".join(pieces))
    shown, _, found = told(*map(output, pieces), result())
    assert (shown, found) == (whole, hits)
