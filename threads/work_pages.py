"""Pages of work: a command with all of its output, a make, a plan before it, and what can be completed."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST

from artifacts.finding import repository_of
from artifacts.models import Derivation, Repository
from houses.coming_in import agent_of
from houses.models import Agent, House, Member
from houses.pages import in_house
from houses.refusals import NotFound, Refused
from sandboxes.models import Environment
from streams.client import StreamError
from threads.ansi import coloured
from threads.makes import environment_digests
from threads.models import Command, Make, Thread
from threads.reading import streams

WHOLE = 2_000_000  # characters of output on the page of a command
OFFERED = 2000  # targets


@in_house
def command(request: HttpRequest, house: House, command_id: str) -> HttpResponse:
    """Everything about one command."""
    found = Command.objects.select_related("thread", "agent").filter(pk=command_id).first()
    if found is None:
        raise NotFound("There is no such command in this house.")
    try:
        told = list(_story(found))
    except StreamError:
        told = []
    last: dict[str, Any] = next((event["payload"] for event in told if event["type"] == "command_finished"), {})
    first: dict[str, Any] = next((event["payload"] for event in told if event["type"] == "command_started"), {})
    context = {
        "house": house,
        "thread": found.thread,
        "command": found,
        "seconds": found.seconds if found.started_at else None,
        "changed": last.get("changed", []),
        "split": [(words, first["split"][name]) for name, words in SPLIT.items() if name in first.get("split", {})],
        "output": _output(told),
        "here": "threads",
    }
    return shown(request, "threads/command.html", "threads/_command.html", "Command", context)


SPLIT = {"queue": "Waited for a worker", "sandbox": "Made the machine", "tree": "Laid out the files"}


def _story(found: Command) -> Iterator[dict[str, Any]]:
    """The command's events, oldest first. The log is read backwards from its end to when the command was asked for."""
    pages, offset = [], "now"
    while offset:
        page = streams().before(found.house_id, found.thread.stream_id, offset, 500)
        pages.append([e for e in page.events if e["payload"].get("command_id") == found.pk])
        if not page.events or datetime.fromisoformat(page.events[0]["ts"]) < found.created_at:
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


@in_house
@require_POST
def command_stop(request: HttpRequest, house: House, command_id: str) -> HttpResponse:
    found = Command.objects.select_related("thread").filter(pk=command_id).first()
    if found is None:
        raise NotFound("There is no such command in this house.")
    found.stop(by=agent_of(request))
    return _back(request, found.thread)


@in_house
@require_POST
def make_stop(request: HttpRequest, house: House, make_id: str) -> HttpResponse:
    found = Make.objects.select_related("thread").filter(pk=make_id).first()
    if found is None:
        raise NotFound("There is no such make in this house.")
    found.stop(by=agent_of(request))
    return _back(request, found.thread)


def _back(request: HttpRequest, thread: Thread) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204)
    return redirect("thread", thread.house_id, thread.pk)


@in_house
def plan(request: HttpRequest, house: House) -> HttpResponse:
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
    status = 200 if request.headers.get("HX-Request") else status
    return shown(request, "threads/plan.html", "threads/_plan.html", f"Plan for {target}", context, status)


def _steps(steps: Any) -> list[dict[str, Any]]:
    return [
        {"path": ", ".join(step.outputs), "reason": " ".join(map(str, step.reasons)), "seconds": step.seconds}
        for step in steps
    ]


@in_house
@require_POST
def make(request: HttpRequest, house: House) -> HttpResponse:
    """Make a file from its own page: in the thread that made it before, else in a new one."""
    repository, target = repository_of(request.POST.get("repository", "")), request.POST.get("target", "")
    by = agent_of(request)
    thread = _thread_for(house, repository, target, by)
    thread.make(target, by=by)
    return redirect("thread", house.pk, thread.pk)


def _thread_for(house: House, repository: Repository, target: str, by: Agent) -> Thread:
    row = Derivation.objects.of(repository).filter(path=target).first()
    made_in = Thread.objects.filter(pk=row.thread_id).first() if row else None
    while made_in and made_in.parent_thread:  # a step's own thread was closed with its make
        made_in = made_in.parent_thread
    if made_in and not made_in.is_closed and made_in.resolve_environment().config.get("repository") == repository.pk:
        return made_in
    fitting = Environment.objects.filter(config__repository=repository.pk)
    environment = fitting.filter(pk=house.default_environment_id).first() or fitting.order_by("created_at").first()
    if environment is None:
        raise NotFound(f"No environment has {repository.name} on it; describe one under Settings → Environments.")
    return Thread.objects.open_in(house, by=by, name=f"make {target}", environment=environment)


@in_house
def completions(request: HttpRequest, house: House, thread_id: str) -> HttpResponse:
    """What `make ` and `@` can be followed by, in this thread."""
    thread = Thread.objects.filter(pk=thread_id).first()
    if thread is None:
        raise NotFound("There is no such thread in this house.")
    members = Member.objects.select_related("agent").order_by("agent__name")
    agents = [{"value": str(one.agent).replace(" ", "_"), "mark": one.agent.kind, "state": "idle"} for one in members]
    return JsonResponse({"targets": _targets(thread), "agents": agents})


def _targets(thread: Thread) -> list[dict[str, str]]:
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
    request: HttpRequest, page: str, part: str, title: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """As a page of its own, or in the pane beside another one."""
    if request.headers.get("HX-Target") == "pane":
        return render(request, "parts/pane.html", context | {"pane_title": title, "pane_template": part}, status=status)
    return render(request, page, context, status=status)
