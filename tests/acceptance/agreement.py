"""Whether streams, rows and what the agents' programs printed tell the same story; runs in a process of arbe's own.

What a program printed is on its machine, byte for byte: an adapter that hears it again says which events there have to
be, each once and in this order.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings

from houses import run_tokens
from houses.tenancy import inside
from streams.client import streams
from streams.models import Outbox
from threads.following.launching import adapter_of
from threads.models import Command, Thread, WaitingMessage
from threads.spending import Spending

Event = dict[str, Any]
KINDS = ("input", "output", "cache_read", "cache_write")
REST = ("completed", "failed", "cancelled")


def tell(house: str) -> None:
    wrong, figures = compared(house)
    print("told " + json.dumps({"wrong": wrong, "figures": figures}))


def compared(house: str) -> tuple[list[str], Counter[str]]:
    """What does not agree, in words; and how many of what there were."""
    wrong, figures = [], Counter()
    with inside(house):
        threads = list(Thread.objects.all())
    told = {thread.pk: _events(thread) for thread in threads}
    for thread in threads:
        events = told[thread.pk]
        figures["events"] += len(events)
        with inside(house):
            wrong += [f"thread {thread.pk}: {one}" for one in _of_thread(thread, events, figures)]
    with inside(house):
        wrong += _of_family(threads, told) + _of_house(house, threads)
    return wrong, figures


def _events(thread: Thread) -> list[Event]:
    events, page = [], None
    while page is None or not page.up_to_date:
        page = streams().read(thread.house_id, thread.stream_id, page.next if page else "-1")
        events += page.events
    return events


def _of_thread(thread: Thread, events: list[Event], figures: Counter[str]) -> list[str]:
    wrong = []
    if len({event["seq"] for event in events}) != len(events):
        wrong.append("a seq came twice")
    if thread.agent_id is None:
        return wrong
    figures["threads"] += 1
    wrong += _folded(thread, events) + _messages(thread, events)
    runs = list(thread.commands.filter(bot__isnull=False).order_by("created_at").select_related("thread", "bot"))
    for run in runs:
        figures["runs"] += 1
        figures["attempts"] += run.attempts
        mine = [event for event in events if event["payload"].get("run_id") == run.pk]
        wrong += [f"run {run.pk} ({run.status}): {one}" for one in _of_run(run, mine, figures)]
    named = {event["payload"].get("run_id") for event in events if event["type"] == "run_queued"}
    if named != {run.pk for run in runs}:
        wrong.append("the runs on the stream are not those of the rows")
    return wrong


def _folded(thread: Thread, events: list[Event]) -> list[str]:
    """Flip by flip the stream comes to what the row says."""
    wrong, status = [], "idle"
    for event in events:
        if event["type"] == "signal.thread.status_changed":
            if event["payload"]["before"] != status:
                wrong.append(f"a flip from {event['payload']['before']} when it was {status}")
            status = event["payload"]["status"]
    if status != thread.status:
        wrong.append(f"the stream comes to {status}, the row says {thread.status}")
    if thread.status not in (*REST, "idle"):
        wrong.append(f"it does not rest: {thread.status}")
    return wrong


def _messages(thread: Thread, events: list[Event]) -> list[str]:
    counted = {
        kind: Counter(event["payload"]["message_id"] for event in events if event["type"] == kind)
        for kind in ("message_waiting", "message_handed_over", "message_withdrawn", "signal.dispatch.steer_taken")
    }
    wrong = [f"{kind} of {name} came {n} times" for kind, of in counted.items() for name, n in of.items() if n > 1]
    waiting = WaitingMessage.objects.filter(thread=thread)
    if set(counted["message_waiting"]) != set(waiting.values_list("pk", flat=True)):
        wrong.append("the messages that waited are not those of the rows")
    # One that an agent went away with before it read it is handed over again.
    twice = [name for name, n in counted["message_handed_over"].items() if n > 1]
    wrong = [one for one in wrong if not any(one.startswith(f"message_handed_over of {name}") for name in twice)]
    sent = set(waiting.filter(sent_at__isnull=False).values_list("pk", flat=True))
    if not sent <= set(counted["message_handed_over"]):
        wrong.append("a message was handed over and nobody was told")
    return wrong


def _of_run(run: Command, events: list[Event], figures: Counter[str]) -> list[str]:
    kinds = Counter(event["type"] for event in events)
    wrong = []
    if run.status not in REST:
        wrong.append(f"it does not rest: {run.status}")
    if kinds["run_queued"] != 1 or kinds["run_finished"] != 1 or kinds["run_started"] != int(bool(run.started_at)):
        wrong.append(f"its beginning and end: {dict(kinds)}")
        return wrong
    (finished,) = [event["payload"] for event in events if event["type"] == "run_finished"]
    if (finished["status"], finished["reason"]) != (run.status, run.reason):
        wrong.append(f"the stream says {finished['status']} {finished['reason']!r}, the row {run.reason!r}")
    if run.status == "failed" and not (finished["reason"] and finished["code"]):
        wrong.append("it failed, and nobody is told why")
    figures[f"{run.status} {finished['code']}".strip()] += 1
    if run.status == "failed":
        figures[f"failed: {run.reason}"] += 1
    wrong += _calls(run, events, figures) + _printed(run, events, figures) + _spent(run, events, finished)
    if run.handed is not None:
        wrong.append("what it was handed is still in the vault")
    return wrong + _kept(run, finished)


def _calls(run: Command, events: list[Event], figures: Counter[str]) -> list[str]:
    calls = Counter(e["payload"]["call_id"] for e in events if e["type"] == "pi.tool_call")
    results = Counter(e["payload"]["call_id"] for e in events if e["type"] == "pi.tool_result")
    figures["calls"] += len(calls)
    figures["calls without a result"] += len(calls - results)
    wrong = [f"call {name} came {n} times" for name, n in (calls + results - calls - results).items()]
    wrong += [f"call or result {name} came twice" for of in (calls, results) for name, n in of.items() if n > 1]
    wrong += [f"a result without its call: {name}" for name in results - calls]
    if run.status == "completed":
        wrong += [f"call {name} has no result" for name in calls - results]
    return wrong


def _printed(run: Command, events: list[Event], figures: Counter[str]) -> list[str]:
    """What an adapter makes of the same bytes, heard once from the beginning, is what the stream has."""
    output = Path(settings.ARBE_VAR) / "sandboxes" / str(run.sandbox_id) / "processes" / run.pk / "output"
    if not output.exists():
        figures["runs without their machine"] += 1
        return []
    heard = [(event["type"], event["payload"]) for event in events if event["type"].startswith("pi.")]
    wanted = _heard_once(run, output.read_bytes())
    if heard == wanted:
        figures["runs heard again"] += 1
        return []
    at = next((n for n, (one, two) in enumerate(zip(heard, wanted, strict=False)) if one != two), None)
    if at is None and len(heard) < len(wanted) and run.status != "completed":
        figures["events cut off by an end"] += len(wanted) - len(heard)
        return []
    where = min(len(heard), len(wanted)) if at is None else at
    lacks = f"{len(heard)} events where there should be {len(wanted)}, the first of them wrong: number {where}"
    return [f"{lacks}: {str(heard[where : where + 1])[:300]} instead of {str(wanted[where : where + 1])[:300]}"]


def _heard_once(run: Command, printed: bytes) -> list[tuple[str, dict[str, Any]]]:
    adapter, wanted = adapter_of(run), []
    for line in printed.split(b"\n"):
        heard = adapter.hear(line)
        wanted += [(event.kind, json.loads(json.dumps(event.payload))) for event in heard.events]
        if heard.over:
            break
    return wanted


def _spent(run: Command, events: list[Event], finished: dict[str, Any]) -> list[str]:
    used = [event["payload"] for event in events if event["type"] == "pi.usage"]
    sums = {kind: sum(one[kind] for one in used) for kind in KINDS}
    row = Spending.objects.filter(run=run.pk).first()
    noted = {kind: getattr(row, f"{kind}_tokens") if row else 0 for kind in KINDS}
    told = {kind: finished["spent"].get(kind, 0) for kind in KINDS}
    if not sums == noted == told:
        return [f"spent {sums} on the stream, {noted} in the row, {told} at the end"]
    return []


def _kept(run: Command, finished: dict[str, Any]) -> list[str]:
    kept = run.environment.repository.bare.kept(f"{run.thread_id}/{run.pk}")
    if finished["snapshot"] and finished["snapshot"] != kept:
        return [f"its snapshot is {kept}, the stream says {finished['snapshot']}"]
    if finished["status"] == "completed" and not kept:
        return ["it completed, and there is no snapshot of it"]
    return []


def _of_family(threads: list[Thread], told: dict[str, list[Event]]) -> list[str]:
    """Parents know of each child, and of each end of its runs, once."""
    wrong = []
    for child in (one for one in threads if one.agent_id and one.parent_thread_id):
        above = told[child.parent_thread_id]
        mine = [event for event in above if event["payload"].get("child_thread_id") == child.pk]
        spawned = sum(event["type"] == "agent_spawn" for event in mine)
        ended = Counter(e["payload"]["run_id"] for e in mine if e["type"] == "signal.thread.child_finished")
        ends = Counter(e["payload"]["run_id"] for e in told[child.pk] if e["type"] == "run_finished")
        if spawned != 1 or ended != ends:
            wrong.append(f"thread {child.pk}: its parent was told of {spawned} beginnings and of {ended}, not {ends}")
    return wrong


def _of_house(house: str, threads: list[Thread]) -> list[str]:
    wrong = [f"run {run} has a token still" for where, run in run_tokens.going() if where == house]
    wrong += [f"work {work.pk} is not over" for work in Command.objects.unfinished()]
    behind = Outbox.objects.filter(stream_id__in=[thread.stream_id for thread in threads]).count()
    return [*wrong, f"{behind} events were never told"] if behind else wrong
