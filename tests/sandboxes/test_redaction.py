"""No secret reaches a stream, however the output is cut."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandboxes.redaction import Redactor
from threads.following.style import active_style


def whole(redactor, raw):
    consumed, text, hits = redactor.split(raw, final=True)
    assert consumed == len(raw)
    return text, hits


def in_pieces(redactor, raw, cuts):
    text, at, counted = "", 0, {}
    for end in [*sorted(cuts), len(raw)]:
        if end < at:
            continue
        consumed, piece, hits = redactor.split(raw[at:end], final=end == len(raw))
        at, text = at + consumed, text + piece
        for name, count in hits.items():
            counted[name] = counted.get(name, 0) + count
    return text, counted


def test_a_secret_is_replaced_by_its_name_and_counted():
    redactor = Redactor({"KEY": b"hunter22"})
    assert whole(redactor, b"a hunter22 b hunter22\n") == ("a [secret KEY] b [secret KEY]\n", {"KEY": 2})


@pytest.mark.parametrize("shown", [base64.b64encode(b"p/ss w?rd+1~~"), quote("p/ss w?rd+1~~", safe="").encode()])
def test_its_usual_disguises_are_seen_through(shown):
    assert whole(Redactor({"KEY": b"p/ss w?rd+1~~"}), b"<" + shown + b">")[0] == "<[secret KEY]>"


@pytest.mark.parametrize("user", [b"x:", b"me:", b"you:"])
def test_a_password_inside_basic_auth_is_seen_too(user):
    text, hits = whole(Redactor({"KEY": b"correct-horse-battery"}), base64.b64encode(user + b"correct-horse-battery"))
    assert hits == {"KEY": 1} and base64.b64encode(b"correct-horse")[4:-4].decode() not in text


def test_the_longest_secret_wins():
    redactor = Redactor({"A": b"abcd", "B": b"abcdefgh"})
    assert whole(redactor, b"abcdefgh abcd abcdef")[0] == "[secret B] [secret A] [secret A]ef"


def test_what_may_become_a_secret_waits():
    redactor = Redactor({"KEY": b"hunter22"})
    assert redactor.split(b"say hunt", final=False) == (4, "say ", {})
    assert redactor.split(b"hunted", final=False) == (6, "hunted", {})
    assert redactor.split(b"hunt", final=True) == (4, "hunt", {})


def test_half_a_character_and_half_an_escape_sequence_wait():
    redactor = Redactor({})
    assert redactor.split("né".encode()[:2], final=False) == (1, "n", {})
    assert redactor.split(b"a\x1b[3", final=False) == (1, "a", {})
    assert redactor.split(b"a\xc3", final=True) == (2, "a\N{REPLACEMENT CHARACTER}", {})


def test_a_short_value_is_not_hidden_but_named():
    redactor = Redactor({"PIN": b"12", "EMPTY": b"", "KEY": b"1234"})
    assert redactor.too_short == ("EMPTY", "PIN")
    assert whole(redactor, b"12 1234")[0] == "12 [secret KEY]"


def test_taking_out_nul_bytes_does_not_put_a_secret_together():
    assert whole(Redactor({"KEY": b"hunter22"}), b"hunt\0er22\0")[0] == "[secret KEY]"


def test_a_last_line_break_of_a_key_file_does_not_matter():
    assert whole(Redactor({"KEY": b"-----key-----\n"}), b"-----key-----")[0] == "[secret KEY]"


def test_the_mark_itself_tells_nothing():
    text, hits = whole(Redactor({"KEY": b"secret", "OTHER": b"]secondary"}), b"secret]secondary")
    assert "secret" not in text and "]secondary" not in text and hits == {"KEY": 1, "OTHER": 1}


def test_binary_output_is_one_line():
    assert whole(Redactor({}), bytes(range(256)) * 40)[0] == "[binary output, 10240 bytes, not shown]\n"


SECRETS = st.dictionaries(
    st.sampled_from(["A", "B", "C"]),
    st.one_of(
        st.text("ab\x00é/€ ", min_size=1, max_size=7).map(str.encode),
        st.binary(min_size=4, max_size=6),
        st.just(b"abab"),
    ),
    max_size=3,
)
AWKWARD = st.sampled_from([b"ab", b"a", b"\0", b"\xc3", b"\xa9", b"\x1b[1", b"\xe2\x82"])
PIECES = st.lists(st.one_of(AWKWARD, st.binary(max_size=3)))


@settings(max_examples=250, deadline=None)
@given(secrets=SECRETS, pieces=PIECES, data=st.data())
def test_however_it_is_cut_the_text_is_the_same_and_no_secret_survives(secrets, pieces, data):
    disguised = map(base64.b64encode, secrets.values())
    shown = data.draw(st.lists(st.sampled_from([*secrets.values(), *disguised, *pieces, b""])))
    raw = b"".join(shown)
    assume(len(raw) < 512)
    redactor = Redactor(secrets)
    text, hits = whole(redactor, raw)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8))
    assert in_pieces(redactor, raw, cuts) == (text, hits)
    assert in_pieces(redactor, raw, range(len(raw))) == (text, hits)
    for name, value in secrets.items():
        if name not in redactor.too_short and "\N{REPLACEMENT CHARACTER}".encode() not in value:
            assert value.strip() not in text.encode()


@pytest.mark.parametrize(
    ("style", "text", "after"),
    [
        ("", "plain", ""),
        ("", "\x1b[1;31mred", "1;31"),
        ("1;31", "on", "1;31"),
        ("1;31", "\x1b[moff", ""),
        ("1;31", "\x1b[0m\x1b[4mnew", "4"),
        ("1;31", "\x1b[22m", "31"),
        ("", "\x1b[38;5;208;1m", "38;5;208;1"),
        ("38;5;208", "\x1b[48;2;1;2;3m\x1b[32m", "48;2;1;2;3;32"),
        ("", "\x1b[38;2", ""),
        ("31", "\x1b[39m\x1b[2K", ""),
    ],
)
def test_colours_go_on_over_the_border_of_a_piece(style, text, after):
    assert active_style(style, text) == after


def test_a_file_that_is_kept_loses_its_secrets_and_nothing_else():
    hidden = Redactor({"KEY": b'half"and half'})
    binary = bytes(range(256)) + b'half"and half' + json.dumps('x half"and half').encode() + b"\xff\x00"
    kept = hidden.hide(binary)
    assert b"and half" not in kept
    assert kept == bytes(range(256)) + b"[secret KEY]" + b'"x [secret KEY]"' + b"\xff\x00"
    assert Redactor({}).hide(binary) == binary


def test_a_value_of_any_shape_loses_its_secrets_and_the_names_in_it_too():
    said = {"a hunter22": ["hunter22", {"hunter22": 3}], "n": 1, "none": None, "é\0\ud83d": True}
    cleaned, hits = Redactor({"KEY": b"hunter22"}).clean(said)
    assert cleaned == {"a [secret KEY]": ["[secret KEY]", {"[secret KEY]": 3}], "n": 1, "none": None, "é?": True}
    assert hits == {"KEY": 3}


def test_a_text_without_secrets_stays_as_it_is_whatever_is_in_it():
    text = "\x01\x02\x1b" * 1000
    assert Redactor({"KEY": b"hunter22"}).clean(text) == (text, {})


@pytest.mark.parametrize("shown", range(8, 20))
def test_the_beginning_of_a_secret_goes_where_it_was_cut_with_its_text(shown):
    redactor = Redactor({"KEY": b"correct-horse-battery"})
    cut = "correct-horse-battery"[:shown]
    assert redactor.clean(f"export KEY={cut}…") == ("export KEY=[secret KEY]…", {"KEY": 1})
    assert redactor.clean(f"export KEY={cut}") == (f"export KEY={cut}", {})


def test_words_that_only_begin_like_a_secret_stay():
    assert Redactor({"KEY": b"helpful-horse"}).clean("Wait for help…") == ("Wait for help…", {})
