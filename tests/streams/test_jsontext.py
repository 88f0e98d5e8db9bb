"""A JSON body is cut into its messages, and not a byte of them changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.jsontext import messages
from streams.refusals import Malformed

blanks = st.text(" \t\n\r", max_size=3)
numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?", fullmatch=True, alphabet="-+.eE0123456789"
)
texts = st.text(max_size=12).map(lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0))
texts |= st.sampled_from(
    ['"\\ud83d\\ude00"', '"\\u0041\\/\\u0000"', '"]"', '",["', '"\\\\"', '"\\""', '"\u2028"', '"\x7f"']
)


@st.composite
def containers(draw, inside):
    """The text of an array or an object, with blanks wherever JSON allows them; keys may come twice."""

    def part(text):
        return draw(blanks) + text + draw(blanks)

    parts = draw(st.lists(inside, max_size=4))
    if draw(st.booleans()):
        return "[" + (",".join(part(each) for each in parts) or draw(blanks)) + "]"
    pairs = [part(draw(texts)) + ":" + part(each) for each in parts]
    return "{" + (",".join(pairs) or draw(blanks)) + "}"


values = st.recursive(st.sampled_from(["true", "false", "null"]) | numbers | texts, containers, max_leaves=12)


@given(st.lists(st.tuples(blanks, values, blanks), max_size=6), blanks, blanks, blanks)
def test_a_list_is_cut_into_its_elements_as_they_were_written(parts, before, inside, after):
    body = before + "[" + (",".join("".join(part) for part in parts) or inside) + "]" + after
    assert messages(body.encode()) == [value.encode() for _, value, _ in parts]


@given(values.filter(lambda text: not text.startswith("[")), blanks, blanks)
def test_whatever_is_no_list_is_one_message(value, before, after):
    assert messages((before + value + after).encode()) == [value.encode()]


@given(st.binary(max_size=40) | st.text('[]{},:" \\ud8e-0123\x00\xff', max_size=20).map(str.encode))
def test_whatever_comes_is_either_cut_or_refused(body):
    """What Python's own reader makes of the messages is what it makes of the body."""
    try:
        found = messages(body)
    except Malformed:
        return
    whole = json.loads(body)
    told = [json.loads(message) for message in found]
    assert told == (whole if isinstance(whole, list) else [whole])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"[1,]",
        b"[,1]",
        b"[1,,2]",
        b'[{"a":1,}]',
        b"[1] [2]",
        b"[1]]",
        b"[[1]",
        b"[1\x0c]",
        b"[\xa01]",
        b"[01]",
        b"[+1]",
        b"[.5]",
        b"[1.]",
        b"[1e999]",
        b"[-1e999]",
        b"[" + b"9" * 400 + b"]",
        b"[NaN]",
        b"[Infinity]",
        b"[nul]",
        b"[/**/1]",
        b"['a']",
        b"[{1:2}]",
        b'["a\x01b"]',
        b'["a\nb"]',
        b'["\\x"]',
        b'["\\u12g4"]',
        b'["\\ud800"]',
        b'["\\ud800\\u0041"]',
        b'["\\ude00"]',
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b"\xef\xbb\xbf[1]",
        b"\xff\xfe[\x001\x00]\x00",
    ],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(Malformed, match="not valid JSON"):
        messages(body)


def test_names_that_come_twice_and_numbers_of_any_length_stay():
    body = b' [{"a" : 1,"a":2} ,-0,1E+05 , 123456789012345678901234567890,\t0.10000000000000000000000001]\n'
    long = [b"123456789012345678901234567890", b"0.10000000000000000000000001"]
    assert messages(body) == [b'{"a" : 1,"a":2}', b"-0", b"1E+05", *long]


@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_nested_too_deeply_is_refused_and_what_is_not_is_not(opens, closes):
    def element(depth):
        return opens * depth + b"1" + closes * depth

    assert messages(b"[" + element(500) + b"]") == [element(500)]
    for depth in (1_000, 1_022, 1_023, 1_024, 100_000):
        with pytest.raises(Malformed, match=r"depth|deeply"):
            messages(b"[" + element(depth) + b"]")
