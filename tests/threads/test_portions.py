"""What a chunk of output comes to is told in portions that fit; and a text that was read is somebody's only once."""

import orjson
import pytest

from streams.wire import MOST_MESSAGE
from threads.following.looking import said_in
from threads.following.portions import MOST_BYTES, MOST_EVENTS, portions
from threads.models import WaitingMessage


@pytest.mark.parametrize("character", ["a", "\N{GRINNING FACE}", "\x01", '"'])
def test_a_long_text_is_cut_by_what_it_takes_to_send_it(character):
    (portion,) = portions([("pi.assistant", {"run_id": "r", "text": character * 2_000_000})])
    ((kind, payload),) = portion
    assert kind == "pi.assistant" and payload["run_id"] == "r"
    assert 100_000 < len(orjson.dumps(payload)) < MOST_MESSAGE and "are left out" in payload["text"]


def test_texts_that_lie_deep_are_cut_too():
    arguments = {"edits": [{"text": "\x01" * 100_000} for _ in range(9)]}
    ((told,),) = portions([("pi.tool_call", {"arguments": arguments})])
    assert len(orjson.dumps(told[1])) < MOST_MESSAGE and len(told[1]["arguments"]["edits"]) == 9


def test_nothing_is_lost_between_portions_and_the_same_ones_come_again():
    told = [
        ("pi.tool_output", {"text": f"{number} " + "x" * (number % 7 * 10_000)}) for number in range(3 * MOST_EVENTS)
    ]
    found = list(portions(told))
    assert [one for portion in found for one in portion] == told
    assert all(0 < len(portion) <= MOST_EVENTS for portion in found)
    assert all(sum(len(orjson.dumps(said)) for _, said in portion) <= MOST_BYTES for portion in found)
    assert found == list(portions(iter(told)))


def test_nothing_takes_no_portion():
    assert list(portions([])) == []


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("go on", ["go on"]),
        ("go", ["go"]),
        ("go\n\ngo on", ["go on", "go"]),
        ("go and go and go", ["go", "go"]),
        ("stop", []),
        ("  go on\n", ["go on"]),
    ],
)
def test_a_text_that_was_read_takes_what_it_says_and_no_more(text, taken):
    waiting = [WaitingMessage(id=str(number), text=said) for number, said in enumerate(["go", "go on", "go"])]
    found = said_in(text, waiting)
    assert [message.text for message in found] == taken
    assert len({message.pk for message in found}) == len(taken)
    if taken == ["go"]:
        assert found == waiting[:1]
