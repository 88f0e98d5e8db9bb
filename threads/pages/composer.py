"""The box under a thread: what it offers, and where what is written in it goes."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from houses.finding import found
from houses.indoors import PageRequest, agent_of, in_house
from houses.models import Agent, Bot, House, Member
from houses.refusals import Refused
from houses.rights import held, manages, may
from houses.scopes import R, W
from sandboxes.models import Environment
from threads.delegating import bot_named
from threads.followed import RUNNING
from threads.log.reading import waiting_in
from threads.models import Thread
from threads.pages.work import done, targets
from threads.runtimes.adapters import ADAPTERS

RUN = re.compile(r"\$\s+(.+)", re.DOTALL)
MAKE = re.compile(r"make\s+(\S+)\s*")
HERE = "here"  # on the machine of the thread itself
NO_THREAD = "There is no such thread in this house."


def offered(house: House, thread: Thread, reader: Agent, *, may_run: bool) -> dict[str, Any]:
    """What the page of a thread shows in and around its box."""
    environment = _environment(thread)
    return {
        "environment": environment and {"name": environment.name, "network": environment.config.get("network", False)},
        "upload": _upload(house, environment) if environment and may_run else None,
        "may_run": may_run,
        "waiting": waiting_in(thread) if thread.agent_id else "",
        "driven_status": RUNNING if thread.agent_id and _is_at_work(thread) else thread.status,
        "manages_thread": bool(thread.agent_id) and manages(reader, thread),
    }


def _is_at_work(thread: Thread) -> bool:
    return thread.commands.filter(bot__isnull=False).unfinished().exists()


def _upload(house: House, environment: Environment) -> str | None:
    repository = environment.config.get("repository")
    return reverse("upload", args=[house.pk, repository]) if repository else None


def _environment(thread: Thread) -> Environment | None:
    try:
        return thread.resolve_environment()
    except Refused:
        return None


@in_house(needs=None)
@require_POST
def composer(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    """Plain text says, a leading `$` runs, `make PATH` makes; with a bot it is a task for that."""
    one, by, text = _thread(request, thread_id), agent_of(request), request.POST.get("text", "").strip()
    if bot := request.POST.get("bot"):
        _delegate(one, text, bot, request.POST.get("where", ""), by=by)
    elif command := RUN.fullmatch(text):
        one.run(command[1], by=by)
    elif target := MAKE.fullmatch(text):
        one.make(target[1], by=by)
    else:
        one.say(text, by=by, waits="waits" in request.POST)
    return done(request, one)


def _delegate(thread: Thread, text: str, bot: str, where: str, *, by: Agent) -> None:
    if where == HERE and thread.sandbox is not None:
        thread.delegate(text, bot=bot_named(bot), by=by, sandbox=thread.sandbox)
        return
    chosen = where not in ("", HERE)
    environment = found(Environment.objects.all(), "There is no such environment.", pk=where) if chosen else None
    thread.delegate(text, bot=bot_named(bot), by=by, environment=environment)


@in_house(needs=None)
def completions(request: HttpRequest, house: House, thread_id: str) -> HttpResponse:
    """What `make ` and `@` can be followed by, in this thread; nothing of a house that one may not read."""
    thread = _thread(request, thread_id)
    if not may(agent_of(request), R, house):
        return JsonResponse({"targets": [], "agents": []})
    return JsonResponse({"targets": targets(thread), "agents": _called(thread)})


@in_house
def tasks(request: HttpRequest, house: House, thread_id: str) -> HttpResponse:
    """Whom a task of this thread can be handed to, and where it can be done."""
    thread = _thread(request, thread_id)
    here = Agent.objects.filter(pk__in=Member.objects.values("agent_id"), is_active=True, runtime__in=ADAPTERS)
    known = sorted(Bot.objects.of_each(here.order_by("name")[:50]), key=lambda bot: bool(bot.problem))
    bots = [{"value": str(bot.agent_id), "text": _offer(bot)} for bot in known]
    places = [{"value": "", "text": "A machine of its own"}]
    own = Environment.objects.order_by("name").values_list("pk", "name")[:50]
    places += [{"value": pk, "text": f"A machine of its own, {name}"} for pk, name in own]
    places += [{"value": HERE, "text": "The machine of this thread"}] if thread.sandbox_id else []
    return JsonResponse({"bot": bots, "where": places})


def _offer(bot: Bot) -> str:
    return f"{bot} ({bot.agent.runtime}{', not ready' if bot.problem else ''})"


def _called(thread: Thread) -> list[dict[str, str]]:
    """Whoever may read the thread, and a bot only where it may answer: nobody else is called to it."""
    everybody = [one.agent for one in Member.objects.select_related("agent").order_by("agent__name")]
    rights = held(everybody, [thread])
    here = [one for one in everybody if {R, W} & set(rights[one.pk, thread.pk].bits) >= ({R, W} if one.is_bot else {R})]
    return [{"value": str(one), "mark": one.kind, "state": "idle"} for one in here]


def _thread(request: HttpRequest, thread_id: str) -> Thread:
    return found(Thread.objects.readable_by(agent_of(request)), NO_THREAD, pk=thread_id)
