"""Pages of work: a command with all of its output, a make, a plan before it, and what can be completed."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST

from artifacts.finding import repository_of
from artifacts.models import Derivation
from artifacts.recipes import is_task
from houses.finding import found
from houses.indoors import PageRequest, agent_of, in_house
from houses.models import House
from houses.refusals import Refused
from streams.client import A_PAGES, StreamError, streams
from threads.log.ansi import coloured
from threads.makes import environment_digests
from threads.models import Command, Make, Thread
from threads.plans import spent_before

NO_COMMAND = "There is no such command in this house."
WHOLE = 2_000_000  # characters of output on the page of a command
OFFERED = 2000  # targets


@in_house(needs=None)
def command(request: PageRequest, house: House, command_id: str) -> HttpResponse:
    """Everything about one command."""
    commands = Command.objects.readable_by(agent_of(request)).select_related("thread", "agent")
    one = found(commands, NO_COMMAND, pk=command_id)
    if one.is_run:
        return redirect("run", house.pk, one.pk)
    try:
        told = list(_story(one))
    except StreamError:
        told = []
    last: dict[str, Any] = next((event["payload"] for event in told if event["type"] == "command_finished"), {})
    first: dict[str, Any] = next((event["payload"] for event in told if event["type"] == "command_started"), {})
    context = {
        "house": house,
        "thread": one.thread,
        "command": one,
        "seconds": one.seconds if one.started_at else None,
        "changed": last.get("changed", []),
        "split": [(words, first["split"][name]) for name, words in SPLIT.items() if name in first.get("split", {})],
        "output": _output(told),
        "here": "threads",
    }
    return shown(request, "threads/command.html", "threads/_command.html", "Command", context)


SPLIT = {"queue": "Waited for a worker", "sandbox": "Made the machine", "tree": "Laid out the files"}


def _story(one: Command) -> Iterator[dict[str, Any]]:
    """The command's events, oldest first. The log is read backwards from its end to when the command was asked for."""
    pages, offset = [], "now"
    while offset:
        page = streams(A_PAGES).before(one.house_id, one.thread.stream_id, offset, 500)
        pages.append([e for e in page.events if e["payload"].get("command_id") == one.pk])
        if not page.events or datetime.fromisoformat(page.events[0]["ts"]) < one.created_at:
            break
        offset = page.prev or ""
    for events in reversed(pages):
        yield from events


def _output(told: list[dict[str, Any]]) -> SafeString:
    chunks, size = [], 0
    for event in told:
        if event["type"] == "command_output":
            size += len(event["payload"]["text"])
            if size > WHOLE:
                chunks.append(format_html('<span class="cut">{}</span>', "\n[The rest is too long for a page.]"))
                break
            chunks.append(coloured(event["payload"]["text"], event["payload"].get("style") or ""))
    return mark_safe("".join(chunks))  # noqa: S308  # coloured and format_html escape


@in_house(needs=None)
@require_POST
def command_stop(request: PageRequest, house: House, command_id: str) -> HttpResponse:
    commands = Command.objects.readable_by(agent_of(request)).select_related("thread")
    one = found(commands, NO_COMMAND, pk=command_id)
    one.stop(by=agent_of(request))
    return done(request, one.thread)


@in_house(needs=None)
@require_POST
def make_stop(request: PageRequest, house: House, make_id: str) -> HttpResponse:
    makes = Make.objects.readable_by(agent_of(request)).select_related("thread")
    one = found(makes, "There is no such make in this house.", pk=make_id)
    one.stop(by=agent_of(request))
    return done(request, one.thread)


def done(request: PageRequest, thread: Thread) -> HttpResponse:
    """A page without scripts comes back to the thread; with them, the stream brings what happened."""
    if request.htmx:
        return HttpResponse(status=204)
    return redirect("thread", thread.house_id, thread.pk)


@in_house
def plan(request: PageRequest, house: House) -> HttpResponse:
    """What a make would do, and why, before it does."""
    repository, target = repository_of(request.GET.get("repository", "")), request.GET.get("target", "")
    context: dict[str, Any] = {"house": house, "repository": repository, "target": target, "here": "made"}
    status = 200
    try:
        planned = repository.plan(target, environment_digests())
        context |= {"steps": _steps(planned.steps), "total": len(planned.steps) + planned.fresh}
    except Refused as refused:
        context["detail"], status = refused.detail, refused.status
    # A pane shows a refusal like a plan: htmx swaps in successes alone.
    status = 200 if request.htmx else status
    return shown(request, "threads/plan.html", "threads/_plan.html", f"Plan for {target}", context, status)


def _steps(steps: Any) -> list[dict[str, Any]]:
    before = spent_before(steps)
    return [
        {
            "path": ", ".join(step.outputs),
            "reason": " ".join(map(str, step.reasons)),
            "seconds": step.seconds,
            "ask": step.headline if is_task(step.recipe) else "",
            "spent": before[step.key],
        }
        for step in steps
    ]


@in_house
@require_POST
def make(request: HttpRequest, house: House) -> HttpResponse:
    """Make a file from its own page: in the thread that made it before, else in a new one."""
    repository, target = repository_of(request.POST.get("repository", "")), request.POST.get("target", "")
    by = agent_of(request)
    thread = Thread.objects.for_target(repository, target, by=by)
    thread.make(target, by=by)
    return redirect("thread", house.pk, thread.pk)


def targets(thread: Thread) -> list[dict[str, str]]:
    """What can be made in a thread, the stale first."""
    try:
        repository = thread.resolve_environment().repository
    except Refused:
        return []
    stale = repository.stale(environment_digests())
    paths = Derivation.objects.of(repository).order_by("path").values_list("path", flat=True)[:OFFERED]
    states = [(path, stale[path].state if path in stale else "fresh") for path in paths]
    return [
        {"value": path, "mark": state, "state": state} for path, state in sorted(states, key=lambda s: s[1] == "fresh")
    ]


def shown(
    request: PageRequest, page: str, part: str, title: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """As a page of its own, or in the pane beside another one."""
    if request.htmx.target == "pane":
        return render(request, "parts/pane.html", context | {"pane_title": title, "pane_template": part}, status=status)
    return render(request, page, context, status=status)
