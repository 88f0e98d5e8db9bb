"""Pages of runs: one with everything it did, what waits for it, answers that somebody stops, and the tree of tasks."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_POST, require_safe

from artifacts.patches import Patch, patches
from houses.finding import found
from houses.indoors import PageRequest, agent_of, in_house
from houses.markdown import prose
from houses.models import Agent, House
from houses.refusals import NotFound
from houses.rights import may
from houses.scopes import R
from streams.client import A_PAGES, StreamError, streams
from threads.log.reading import laid_out_for
from threads.log.slots import card_of
from threads.models import Answer, Command, Spending, Thread, WaitingMessage
from threads.pages.forest import forest
from threads.pages.work import SPLIT, done, shown

MOST_TOLD = 2000  # events of a run on its page
DIFFED = 40  # files whose changes are shown


@in_house(needs=None)
@require_safe
def run(request: PageRequest, house: House, run_id: str) -> HttpResponse:
    """Everything about one run of an agent."""
    runs = Command.objects.runs().readable_by(agent_of(request)).select_related("thread", "agent", "bot", "environment")
    one = found(runs, "There is no such run in this house.", pk=run_id)
    try:
        events, is_cut = _story(one)
    except StreamError:
        events, is_cut = [], False
    told = {event["type"]: event["payload"] for event in events}
    first, last = told.get("run_started", {}), told.get("run_finished", {})
    split = first.get("split", {})
    context = {
        "house": house,
        "thread": one.thread,
        "run": one,
        "prompt": prose(one.text),
        "recipe": one.recipe,
        "seconds": one.seconds if one.started_at else None,
        "spent": Spending.objects.of_run(one.pk).total(),
        "last": last,
        "split": [(words, split[name]) for name, words in SPLIT.items() if name in split],
        "patches": _patches(one, last, agent_of(request), house),
        "log": laid_out_for(one.thread, events, agent_of(request)),
        "is_cut": is_cut,
        "here": "threads",
    }
    return shown(request, "threads/run.html", "threads/_run.html", f"Run of {one.bot}", context)


def _story(one: Command) -> tuple[list[dict[str, Any]], bool]:
    """The newest of its events, oldest first, and whether there are more."""
    pages: list[list[dict[str, Any]]] = []
    offset, count = "now", 0
    while offset and count < MOST_TOLD:
        page = streams(A_PAGES).before(one.house_id, one.thread.stream_id, offset, 500)
        pages.append(list(_of_run(page.events, one.pk)))
        count += len(pages[-1])
        if not page.events or datetime.fromisoformat(page.events[0]["ts"]) < one.created_at:
            break
        offset = page.prev or ""
    events = [event for events in reversed(pages) for event in events]
    return events[-MOST_TOLD:], count >= MOST_TOLD


def _of_run(events: list[dict[str, Any]], run_id: str) -> Iterator[dict[str, Any]]:
    """What happened in it, and what was said to it meanwhile."""
    said: dict[str, dict[str, Any]] = {}
    for event in events:
        author, payload = str(event.get("author_agent_id")), event.get("payload") or {}
        if event["type"] == "message":
            said[author] = event
        elif card_of(event) == run_id or payload.get("run_id") == run_id:
            if event["type"] == "message_handed_over" and author in said:
                yield said.pop(author)
            yield event


def _patches(one: Command, last: dict[str, Any], reader: Agent, house: House) -> list[Patch]:
    """What it changed, line by line; for whoever may read the house's files."""
    changed = last.get("changed", [])
    if not changed or not may(reader, R, house):
        return []
    try:
        return patches(one.environment.repository.bare, changed[:DIFFED])
    except NotFound:  # the repository, or what it had, has gone
        return []


@in_house(needs=None)
@require_POST
def waiting_message(request: PageRequest, house: House, message_id: str) -> HttpResponse:
    """Say it otherwise, or take it back, as long as it waits."""
    readable = Thread.objects.readable_by(agent_of(request)).values("pk")
    messages = WaitingMessage.objects.filter(thread__in=readable).select_related("thread")
    message = found(messages, "There is no such message in this house.", pk=message_id)
    if "withdraw" in request.POST:
        message.withdraw(by=agent_of(request))
    else:
        message.edit(request.POST.get("text", ""), by=agent_of(request))
    return done(request, message.thread)


@in_house(needs=None)
@require_POST
def answer_stop(request: PageRequest, house: House, answer_id: str) -> HttpResponse:
    """End what a bot is saying."""
    readable = Thread.objects.readable_by(agent_of(request)).values("pk")
    answers = Answer.objects.filter(thread__in=readable).select_related("thread")
    answer = found(answers, "There is no such answer in this house.", pk=answer_id)
    answer.stop(by=agent_of(request))
    return done(request, answer.thread)


@in_house(needs=None)
@require_safe
def tree(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    """A thread and everything that was handed on from it, as far as one may read it."""
    readable = Thread.objects.readable_by(agent_of(request))
    one = found(readable, "There is no such thread in this house.", pk=thread_id)
    context = {"house": house, "thread": one, "here": "threads", **forest(one, readable)}
    return shown(request, "threads/tree.html", "threads/_tree.html", "Threads from here", context)
