"""The catalogue: each kind once, typed, in the past tense, and nothing else in its payload."""

from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass

import pytest

import sandboxes.events  # noqa: F401  # its kinds are in the catalogue too
from streams.envelope import CONTROL, CUSTOM
from streams.events import CATALOGUE, Event
from threads.events import Message, ThreadTagged

KINDS = [pytest.param(kind, event, id=kind) for kind, event in CATALOGUE.items()]


def test_what_it_says_is_what_it_is():
    assert ThreadTagged(tags=["a"]).payload == {"tags": ["a"]} and Message.kind == "message"


def test_a_field_nobody_declared_is_refused():
    with pytest.raises(TypeError):
        Message(text="hello", shout=True)
    with pytest.raises(TypeError):
        Message()


def test_what_happened_does_not_change():
    said = Message(text="hello")
    with pytest.raises(FrozenInstanceError):
        said.text = "good-bye"


def test_a_kind_is_declared_once():
    with pytest.raises(TypeError, match="'message' is declared twice"):

        @dataclass(frozen=True, kw_only=True)
        class Shout(Event, kind="message"):
            """Louder."""


def test_a_kind_has_a_name():
    with pytest.raises(TypeError):

        @dataclass(frozen=True, kw_only=True)
        class Nameless(Event):
            """Nobody knows."""


@pytest.mark.parametrize(("kind", "event"), KINDS)
def test_every_kind_is_a_frozen_dataclass_with_types(kind, event):
    assert is_dataclass(event) and event.__dataclass_params__.frozen
    assert all(field.type for field in fields(event))


@pytest.mark.parametrize(("kind", "event"), KINDS)
def test_only_arbe_writes_what_arbe_declared(kind, event):
    """From outside come messages and custom kinds alone."""
    assert kind == "message" or (CONTROL.fullmatch(kind) and not kind.startswith("custom"))


@pytest.mark.parametrize("kind", ["message", "deploy.done", "a.b-c_d.e"])
def test_kinds_of_others_have_dots(kind):
    assert CUSTOM.fullmatch(kind) and not CONTROL.fullmatch(kind)
