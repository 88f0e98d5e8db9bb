"""The attack: every id of Elm in every place of an operation of Oak, beside an id that is nowhere."""

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from tests.tenancy.neighbours import Answer, World
from tests.tenancy.places import Operation, leaves
from tests.tenancy.words import IN_OBJECTS, NAMED, is_plain, row_named_by

FORM = "application/x-www-form-urlencoded"
PLAINLY = "WORD"  # fits for a name, for a text, and for the name of a secret


def attack(world: World, operation: Operation, *whos: str) -> list[str]:
    """The holes of one operation, as sentences. The first of those who try tries every place, all of them the house."""
    holes, who = [hole for who in whos for hole in _whole(world, operation, who)], whos[0]
    for word in operation.words:
        if operation.words[word] != "house":
            holes += _path(world, operation, who, word)
    for name in operation.query:
        holes += _each(world, operation, who, name, lambda value, name=name: {"query": {name: value}})
    for at, anything in leaves(operation.body):
        holes += _leaf(world, operation, who, at, anything)
    for name in operation.form:
        holes += _each(world, operation, who, name, lambda value, name=name: {"form": {name: value}})
    return [*dict.fromkeys(holes)]


def _whole(world: World, operation: Operation, who: str) -> list[str]:
    """The house itself: Elm's address with Elm's ids, beside the address of no house."""
    if "house" not in operation.words.values():
        return []
    theirs = {word: world.there.get(row, [PLAINLY])[0] for word, row in operation.words.items()}
    nowhere = {word: world.nowhere(value) if value != PLAINLY else value for word, value in theirs.items()}
    return _compared(world, operation, who, f"in {world.elm}", {"path": theirs}, {"path": nowhere}, refuse=True)


def _path(world: World, operation: Operation, who: str, word: str) -> list[str]:
    row = operation.words[word]
    if row not in world.there:
        return [] if is_plain(word) else [_unknown(operation, f"its path has “{word}”")]
    holes = []
    for theirs in world.there[row]:
        place = f"{word}={theirs}"
        attempts = [{"path": _own(world, operation) | {word: value}} for value in (theirs, world.nowhere(theirs))]
        # What is put under its name comes to be there.
        holes += _compared(world, operation, who, place, *attempts, refuse=row not in NAMED)
    return holes


def _each(world: World, operation: Operation, who: str, name: str, filled: Any) -> list[str]:
    """One place that is filled in, with each id that its word can mean."""
    row = row_named_by(name)
    if row not in world.there:
        return [] if is_plain(name) else [_unknown(operation, f"it takes “{name}”")]
    holes = []
    for theirs in world.there[row]:
        attempts = [filled(value) for value in (theirs, world.nowhere(theirs))]
        holes += _compared(world, operation, who, f"{name}={theirs}", *attempts)
    return holes


def _leaf(world: World, operation: Operation, who: str, at: tuple[str, ...], anything: bool) -> list[str]:
    named = [part for part in at if part not in ("[]", "id")]
    name = named[-1] if named else "tags"
    holes = _each(world, operation, who, name, lambda value: {"json": (at, value)})
    if anything:
        for word in IN_OBJECTS:
            attempts = [{"json": (at, {word: value})} for value in _both(world, word)]
            holes += _compared(world, operation, who, f"{name}.{word}", *attempts)
    return holes


def _both(world: World, word: str) -> tuple[str, str]:
    theirs = world.there[word][0]
    return theirs, world.nowhere(theirs)


def _compared(
    world: World, operation: Operation, who: str, place: str, theirs: Any, nowhere: Any, refuse: bool = False
) -> list[str]:
    no, yes = _answer(world, operation, who, nowhere), _answer(world, operation, who, theirs, look=True)
    if not yes.like(no):  # what is remembered from the first time may have spared a query
        no, yes = _answer(world, operation, who, nowhere), _answer(world, operation, who, theirs, look=True)
    told = f"{operation} with {place} by {who}"
    holes = []
    if (yes.status, yes.said) != (no.status, no.said):
        holes.append(f"{told}: not yours is {yes.status} {yes.said[:200]!r}, not there {no.status} {no.said[:200]!r}")
    elif yes.queries != no.queries:
        differ = sorted({*yes.queries} ^ {*no.queries})[:2]
        holes.append(f"{told}: not yours asks {len(yes.queries)} queries, not there {len(no.queries)}: {differ}")
    if any(trace.startswith(f"{world.elm}'s") for trace in yes.left):
        holes.append(f"{told}: changed {yes.left}")
    if yes.status in (429, 500):  # nobody serves streams here, so that a page of a log may say 503
        holes.append(f"{told}: answered {yes.status}")
    if yes.status >= 400 and yes.left:
        holes.append(f"{told}: was refused and left {yes.left}")
    if refuse and yes.status not in (302, 400, 401, 403, 404, 405, 409, 412, 428):
        holes.append(f"{told}: was not refused but answered {yes.status} {yes.said[:100]!r}")
    return holes


def _answer(world: World, operation: Operation, who: str, attempt: dict[str, Any], look: bool = False) -> Answer:
    path = operation.address(attempt.get("path") or _own(world, operation), attempt.get("query"))
    kind, body = "application/json", b""
    if operation.body is not None:
        at, sent = attempt.get("json", ((), ABSENT))
        body = json.dumps(_filled(operation.body, world, at, sent)).encode()
    elif operation.form or operation.method == "post":
        kind, body = FORM, urlencode(attempt.get("form", {}), doseq=True).encode()
    answer = world.ask(who, operation.method.upper(), path, body, kind, look=look)
    return _without(answer, world, attempt)


def _without(answer: Answer, world: World, attempt: dict[str, Any]) -> Answer:
    """What was sent is no news when it comes back; nor are ids and times of what was just made."""
    sent = [*attempt.get("path", {}).values(), *attempt.get("query", {}).values(), *attempt.get("form", {}).values()]
    last = attempt.get("json", ((), ""))[1]
    sent += list(last.values()) if isinstance(last, dict) else [last]
    own = {value for values in world.here.values() for value in values}
    for value in sorted({str(value) for value in sent if value} - own - {PLAINLY}, key=len, reverse=True):
        answer.said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "⟨sent⟩", answer.said)
    answer.said = world.fresh(answer.said)
    return answer


def _own(world: World, operation: Operation) -> dict[str, str]:
    return {word: world.here.get(row, [PLAINLY])[0] for word, row in operation.words.items()}


ABSENT = object()


def _filled(shape: dict[str, Any], world: World, at: tuple[str, ...], value: Any, name: str = "") -> Any:
    """A body of that shape: what is required, and the value at its place."""
    if not at and value is not ABSENT:
        return value
    if shape.get("properties"):
        wanted = [*shape.get("required", ()), *at[:1]]
        return {
            one: _filled(below, world, *((at[1:], value) if one in at[:1] else ((), ABSENT)), one)
            for one, below in shape["properties"].items()
            if one in wanted and not below.get("readOnly")
        }
    if shape.get("type") == "array":
        return [_filled(shape.get("items", {}), world, at[1:], value, name)]
    return _sample(shape, world, name)


def _sample(shape: dict[str, Any], world: World, name: str) -> Any:
    if "enum" in shape:
        return next(word for word in shape["enum"] if word)
    kind = shape.get("format") or shape.get("type") or "object"
    row = row_named_by(name)
    own = world.here[row][0] if row in world.here else ("r" if name == "bits" else PLAINLY)
    return {
        "date-time": (timezone.now() + timedelta(days=2)).isoformat(),
        "email": "somebody@oak.example",
        "integer": shape.get("minimum", 1),
        "number": shape.get("minimum", 1),
        "double": shape.get("minimum", 1),
        "boolean": False,
        "object": {},
    }.get(kind, own)


def _unknown(operation: Operation, what: str) -> str:
    return f"{operation}: {what}, and nobody knows whether that is an id; say so in tests/tenancy/words.py"
