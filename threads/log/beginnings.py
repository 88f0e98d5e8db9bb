"""How cards began that a page of a log goes on with: their first events, told again from the rows."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q

from threads.followed import QUEUED, RUNNING
from threads.log.slots import CALLS, above, begins, card_of
from threads.models import Spending, Thread, WaitingMessage

Told = tuple[Any, str, dict[str, Any]]


def begun_earlier(thread: Thread, events: list[dict[str, Any]], *, with_running: bool) -> dict[str, dict[str, Any]]:
    """First events of cards that began before these events and go on in or after them, by card."""
    here = {begins(event) for event in events}
    missing = begun_before(events)
    wanted = Q(pk__in=missing)
    if with_running:
        wanted |= Q(status__in=[QUEUED, RUNNING])
    told = {
        row.pk: _event(thread, events, row.pk, kind, payload, author=row.agent_id, at=row.created_at)
        for row, kind, payload in _rows(thread, wanted, here)
    }
    return told | _calls(thread, events, missing)


def begun_before(events: Iterable[dict[str, Any]]) -> set[str]:
    """The cards these events go on with, but do not begin."""
    seen: set[str] = set()
    missing: set[str] = set()
    for event in events:
        if begun := begins(event):
            seen.add(begun)
        missing |= {card for card in (card_of(event), above(event)) if card and card not in seen}
    return missing


def _rows(thread: Thread, wanted: Q, here: set[str]) -> Iterator[Told]:
    commands = list(thread.commands.filter(wanted).exclude(pk__in=here).order_by("created_at"))
    spent = Spending.objects.filter(run__in=[one.pk for one in commands if one.bot_id]) if commands else []
    by_run = {one.run: one for one in spent}
    for one in commands:
        if one.bot_id:
            recipe = one.recipe or {}
            told = {name: recipe.get(name, "") for name in ("runtime", "model")}
            told |= {"spent": _spent(by_run.get(one.pk))}
            yield one, "run_queued", {"run_id": one.pk, "bot_id": str(one.bot_id), **told}
        else:
            yield one, "command_queued", {"command_id": one.pk, "text": one.text}
    for make in thread.makes.filter(wanted).exclude(pk__in=here).order_by("created_at"):
        yield make, "make_planned", {"make_id": make.pk, "target": make.target, "steps": [{}]}
    for answer in thread.answers.filter(wanted).exclude(status=QUEUED).exclude(pk__in=here).order_by("created_at"):
        model = answer.recipe.get("model", "")
        yield answer, "thread_answer_begun", {"answer_id": answer.pk, "bot_id": str(answer.agent_id), "model": model}


def _spent(row: Spending | None) -> dict[str, Any]:
    if row is None:
        return {}
    kinds = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return {name: getattr(row, name) for name in kinds} | {"usd": None if row.usd is None else float(row.usd)}


def _calls(thread: Thread, events: list[dict[str, Any]], missing: set[str]) -> dict[str, dict[str, Any]]:
    """Calls of tools have no rows: what goes on with one says whose it is."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        key, said = card_of(event), event.get("payload") or {}
        if event["type"] in CALLS and key in missing:
            kind = "pi.tool_call" if said.get("run_id") else "thread_answer_called"
            named = {name: said[name] for name in ("run_id", "answer_id", "call_id", "tool") if said.get(name)}
            first = _event(thread, events, key, kind, {}, author=event.get("author_agent_id"), at=event["ts"])
            found.setdefault(key, first)["payload"].update(named)
    return found


def _event(
    thread: Thread, events: list[dict[str, Any]], card: str, kind: str, payload: dict[str, Any], *, author: Any, at: Any
) -> dict[str, Any]:
    first = events[0]["seq"] if events else ""
    return {
        "seq": f"{first}-{card}",
        "stream_id": thread.stream_id,
        "author_agent_id": str(author),
        "type": kind,
        "payload": payload,
        "ts": at if isinstance(at, str) else at.isoformat(),
    }


def told_waiting(message: WaitingMessage) -> dict[str, Any]:
    """A message that waits, as it was told."""
    payload = {"message_id": message.pk, "text": message.text, "steers": message.steers}
    return _event(
        message.thread, [], message.pk, "message_waiting", payload, author=message.agent_id, at=message.created_at
    )
