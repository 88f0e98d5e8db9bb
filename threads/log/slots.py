"""Where in a log an event goes: an entry of its own, or a place in the card of the work that it tells of."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

RUN, ANSWER, COMMAND, MAKE = "run_id", "answer_id", "command_id", "make_id"
BEGINNINGS = {"command_queued", "make_planned", "run_queued", "thread_answer_begun", "pi.tool_call", "agent_spawn"}
BEGINNINGS |= {"thread_answer_called"}
# What the agent of a run does and what happens to it, from its card's beginning to its end.
IN_RUNS = {
    "pi.assistant",
    "pi.retry",
    "pi.line",
    "signal.thread.status_changed",
    "signal.thread.pi_failed",
    "signal.thread.pi_session_orphaned",
    "signal.dispatch.session_started",
    "signal.dispatch.pi_waiting",
    "signal.dispatch.pi_answered",
    "signal.dispatch.steer_taken",
}


@dataclass(frozen=True)
class Place:
    """A partial, the slot that takes it (none: the end of the log), and whose slot that is."""

    template: str
    slot: str = ""
    card: str = ""
    status: str = ""


def places(event: dict[str, Any], drawn: str) -> tuple[Place, ...]:
    """Where each part of an event goes; `drawn` is the partial of its kind."""
    kind, payload = event["type"], event.get("payload") or {}
    if kind in IN_RUNS:
        return (Place(drawn, "did", payload["run_id"]),) if payload.get("run_id") else (Place(drawn),)
    if kind in _WHERE:
        return _WHERE[kind](payload)
    return (Place(drawn),)


def key_of(payload: dict[str, Any]) -> str:
    """A call of a tool, as an id that a page can carry: agents make theirs up as they like."""
    whose = payload.get(RUN) or payload.get(ANSWER) or ""
    return f"{whose}-{blake2s(str(payload.get('call_id', '')).encode(), digest_size=6).hexdigest()}"


def spawn_of(payload: dict[str, Any]) -> str:
    return f"spawn-{payload['child_thread_id']}"


def card_of(event: dict[str, Any]) -> str:
    """The id of the card an event belongs to, or nothing. Steps and calls are cards inside others."""
    kind, payload = event["type"], event.get("payload") or {}
    if kind.startswith("command_"):
        return str(payload.get(COMMAND, ""))
    if kind in ("make_planned", "make_finished"):
        return str(payload.get(MAKE, ""))
    if kind in CALLS:
        return key_of(payload)
    if kind in ("run_queued", "run_started", "run_finished", "pi.usage") or kind in IN_RUNS:
        return str(payload.get(RUN, ""))
    return str(payload.get(ANSWER, "")) if kind.startswith("thread_answer_") else ""


def begins(event: dict[str, Any]) -> str:
    """The card that begins with this event, or nothing."""
    if event["type"] == "agent_spawn":
        return spawn_of(event["payload"])
    return card_of(event) if event["type"] in BEGINNINGS else ""


def above(event: dict[str, Any]) -> str:
    """The run or the answer in which an event is a call of a tool."""
    payload = event.get("payload") or {}
    return str(payload.get(RUN) or payload.get(ANSWER) or "") if event["type"] in CALLS else ""


CALLS = {"pi.tool_call", "pi.tool_output", "pi.tool_result", "thread_answer_called", "thread_answer_heard"}


def _command_queued(payload: dict[str, Any]) -> tuple[Place, ...]:
    make = payload.get(MAKE)
    return (Place("command_queued", "work", make) if make else Place("command_queued"),)


def _run_queued(payload: dict[str, Any]) -> tuple[Place, ...]:
    make = payload.get(MAKE)
    return (Place("run_queued", "work", make) if make else Place("run_queued"),)


def _ended(name: str, kind: str, payload: dict[str, Any]) -> tuple[Place, ...]:
    card = payload[name]
    return (Place("_state", "state", card, payload["status"]), Place(kind, "foot", card))


def _tool_result(payload: dict[str, Any]) -> tuple[Place, ...]:
    key = key_of(payload)
    return (Place("_call_state", "state", key), Place("pi.tool_result", "fill", key))


def _heard(payload: dict[str, Any]) -> tuple[Place, ...]:
    key = key_of(payload)
    return (Place("_call_state", "state", key), Place("thread_answer_heard", "fill", key))


def _answered(payload: dict[str, Any]) -> tuple[Place, ...]:
    text = Place("_said", "text", payload[ANSWER])
    return (*_ended(ANSWER, "thread_answer_finished", payload), text)


def _child_finished(payload: dict[str, Any]) -> tuple[Place, ...]:
    card = spawn_of(payload)
    state, foot = Place("_state", "state", card, payload["status"]), Place("_child_foot", "foot", card)
    return (state, foot, Place("signal.thread.child_finished", "lone", card))


def _message(payload: dict[str, Any], kind: str, slot: str) -> tuple[Place, ...]:
    return (Place(kind, slot, payload["message_id"]),)


_WHERE: dict[str, Callable[[dict[str, Any]], tuple[Place, ...]]] = {
    "command_queued": _command_queued,
    "command_output": lambda p: (Place("command_output", "lines", p[COMMAND]),),
    "command_started": lambda p: (Place("_state", "state", p[COMMAND], "running"),),
    "command_finished": lambda p: _ended(COMMAND, "command_finished", p),
    "make_finished": lambda p: _ended(MAKE, "make_finished", p),
    "run_queued": _run_queued,
    "run_started": lambda p: (Place("_state", "state", p[RUN], "running"),),
    "run_finished": lambda p: _ended(RUN, "run_finished", p),
    "pi.tool_call": lambda p: (Place("pi.tool_call", "did", p[RUN]),),
    "pi.tool_output": lambda p: (Place("pi.tool_output", "lines", key_of(p)),),
    "pi.tool_result": _tool_result,
    "pi.usage": lambda p: (Place("pi.usage", "spent", p[RUN]),),
    "thread_answer_part": lambda p: (Place("thread_answer_part", "parts", p[ANSWER]),),
    "thread_answer_called": lambda p: (Place("thread_answer_called", "did", p[ANSWER]),),
    "thread_answer_heard": _heard,
    "thread_answer_finished": _answered,
    "signal.thread.child_finished": _child_finished,
    "message_waiting": lambda p: _message(p, "message_waiting", "waiting"),
    "message_edited": lambda p: _message(p, "message_edited", "waits"),
    "message_withdrawn": lambda p: _message(p, "message_withdrawn", "gone"),
    "message_handed_over": lambda p: (Place("message_handed_over", "gone", p["message_id"]), Place("", "take", p[RUN])),
}
