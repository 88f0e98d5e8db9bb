"""The envelope around every event of a thread: `{seq, stream_id, author_agent_id, type, payload, ts}`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson

from streams.jsontext import few
from streams.refusals import Malformed, Refusal, TooLarge
from streams.wire import Caller

CONTROL = re.compile(
    r"(signal|pi)\..*|agent_spawn|sandbox_resumed|(artifact|command|make|message|run|thread)_.*", re.DOTALL
)
CUSTOM = re.compile(r"message|[a-z0-9]+(\.[a-z0-9_-]+)+")
UNSTAMPED = "0" * 33  # the store writes the offset here, when it knows it
LONGEST_MESSAGE = 256 * 1024  # bytes of UTF-8
MOST_INSIDE, MOST_OUTSIDE = 10_000, 1_000  # events of one request: arbe's own, and anybody else's
_INSIDE = {"type", "payload", "author_agent_id", "ts"}
_OUTSIDE = {"type", "payload"}


def sealed(body: bytes, stream_id: str, caller: Caller) -> list[bytes]:
    """The body's events in their envelopes, ready for the store to put in the offsets."""
    events = few(body, MOST_INSIDE if caller.internal else MOST_OUTSIDE)
    if not isinstance(events, list):
        events = [events]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [_seal(event, stream_id, caller, now) for event in events]


def _seal(event: Any, stream_id: str, caller: Caller, now: str) -> bytes:
    allowed = _INSIDE if caller.internal else _OUTSIDE
    if not isinstance(event, dict) or not event.keys() <= allowed or "type" not in event:
        raise Malformed(f"Each event is an object with type and payload; known fields: {', '.join(sorted(allowed))}.")
    kind, payload = event["type"], event.get("payload", {})
    if not isinstance(kind, str) or not kind or not isinstance(payload, dict):
        raise Malformed("The type of an event is a text, and its payload an object.")
    author, ts = caller.agent_id, now
    if caller.internal:
        author, ts = event.get("author_agent_id"), event.get("ts") or now
        if not isinstance(author, str | None) or not isinstance(ts, str):
            raise Malformed("The author_agent_id and the ts of an event are texts.")
    else:
        _check_kind(kind)
        if kind == "message":
            _check_message(payload)
    envelope = {
        "seq": UNSTAMPED,
        "stream_id": stream_id,
        "author_agent_id": author,
        "type": kind,
        "payload": payload,
        "ts": ts,
    }
    try:
        return orjson.dumps(envelope)
    except orjson.JSONEncodeError:
        raise Malformed("The payload is nested too deeply.") from None


def _check_message(payload: dict[str, Any]) -> None:
    text = payload.get("text")
    if payload.keys() != {"text"} or not isinstance(text, str) or not text.strip():
        raise Malformed("The payload of a message is {text}, with at least one character.")
    if len(text.encode()) > LONGEST_MESSAGE:
        raise TooLarge("A message may hold 256 kB; put the rest into a file.")


def _check_kind(kind: str) -> None:
    if CONTROL.fullmatch(kind):
        raise Refusal(403, "control_kind", f"Events of the kind {kind!r} are written by arbe alone.")
    if not CUSTOM.fullmatch(kind):
        raise Malformed("The kind of an event is `message`, or words with dots between them such as `deploy.done`.")
