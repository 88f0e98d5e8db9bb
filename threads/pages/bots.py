"""Pages of bots: how each thinks, what it may spend, and what it has spent. They ask what only threads know."""

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from houses.agents import RUNTIMES
from houses.arrivals import welcome_bot
from houses.bots import ALWAYS, APIS, MENTION, NotReady
from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import Agent, Bot, Budget, House, Secret
from houses.refusals import Invalid, Refused
from houses.rights import may
from houses.scopes import X
from sandboxes.runtimes import installed
from threads.models import Command, Spending, Thread
from threads.runtimes.adapters import ADAPTERS
from threads.spending import Limit
from threads.tokens import Spent

# Providers that many use, with what their APIs are called here.
ADDRESSES = {
    "https://api.anthropic.com": "Anthropic (anthropic-messages)",
    "https://api.openai.com/v1": "OpenAI (openai-responses, openai-completions)",
    "https://openrouter.ai/api/v1": "OpenRouter (openai-completions)",
    "http://127.0.0.1:11434/v1": "A model on this machine (openai-completions)",
}
SETTINGS = ("model", "address", "api", "key_secret", "system_prompt", "answers")
LIMITS = ("run_tokens", "run_usd", "month_tokens", "month_usd")
LAST = 12  # runs on the page of a bot
UNITS = {"tokens": "tokens", "usd": "dollars"}


@in_house
@require_http_methods(["GET", "POST"])
def bots(request: HttpRequest, house: House) -> HttpResponse:
    """Every bot of the house; and what the house may spend on all of them."""
    detail, status = "", 200
    if request.method == "POST":
        try:
            with transaction.atomic():
                Budget.objects.limit(None, **_limits(request), by=agent_of(request))
            return redirect("bots", house.pk)
        except Refused as refused:
            detail, status = refused.detail, refused.status
    agents = _bots()
    month = Spending.objects.visible_to(agent_of(request)).this_month()
    spent = month.by("agent_id", [agent.pk for agent in agents])
    context = {
        **_around(request, house),
        "rows": [_row(one, spent) for one in Bot.objects.of_each(agents)],
        "said_limits": request.POST if detail else _shown(Budget.objects.of(None)),
        "total": month.total(),
        "detail": detail,
    }
    return render(request, "houses/bots.html", context, status=status)


def _bots() -> list[Agent]:
    return list(Agent.objects.bots().filter(is_active=True).order_by("name", "pk"))


def _row(bot: Bot, spent: dict[Any, Spent]) -> dict[str, Any]:
    return {"bot": bot, "agent": bot.agent, "spent": spent.get(bot.agent_id), "wants": _wants(bot)}


def _wants(bot: Bot) -> str:
    """What is missing before it can work, in a word or two."""
    runtime = str(bot.agent.runtime)
    if not bot.model or not bot.address:
        return "no model yet"
    if bot.misses_key:
        return "key missing"
    return f"{runtime} is not installed" if runtime in ADAPTERS and installed(runtime) is None else ""


@in_house
@require_http_methods(["GET", "POST"])
def bot_new(request: HttpRequest, house: House) -> HttpResponse:
    """A new bot, and how it thinks, at once."""
    context: dict[str, Any] = {"said": request.POST, "status": 200}
    if request.method == "POST":
        by = agent_of(request)
        try:
            with transaction.atomic():
                agent = welcome_bot(house, request.POST.get("name", ""), request.POST.get("runtime", ""), by=by).agent
                if request.POST.get("model") or request.POST.get("address"):
                    Bot.objects.set_up(agent, **_settings(request), by=by)
            return redirect("bot", house.pk, agent.pk)
        except Refused as refused:
            context |= {**_refused(refused.detail), "status": refused.status}
    status = context.pop("status")
    return render(request, "houses/bot_new.html", _around(request, house) | context, status=status)


@in_house
@require_http_methods(["GET", "POST"])
def bot(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """One bot: its settings, its limits, and what it has done and spent."""
    agent, by = found(Agent.objects.bots(), "There is no such bot in this house.", pk=agent_id), agent_of(request)
    detail, status = "", 200
    if request.method == "POST":
        try:
            with transaction.atomic():
                if "limits" in request.POST:
                    Budget.objects.limit(agent, **_limits(request), by=by)
                else:
                    Bot.objects.set_up(agent, **_settings(request), by=by)
            return redirect("bot", house.pk, agent.pk)
        except Refused as refused:
            detail, status = refused.detail, refused.status
    context = _around(request, house) | _of_bot(agent, by) | _refused(detail)
    if detail:
        context["said" if "limits" not in request.POST else "said_limits"] = request.POST
    return render(request, "houses/bot.html", context, status=status)


def _of_bot(agent: Agent, reader: Agent) -> dict[str, Any]:
    (settings,) = Bot.objects.of_each([agent])
    seen = Spending.objects.visible_to(reader)
    spent = seen.of_bot(agent)
    runs = Command.objects.runs().readable_by(reader).filter(bot=agent).select_related("thread")
    last = list(runs.order_by("-created_at")[:LAST])
    by_run = seen.by("run", [run.pk for run in last])
    limits = Spending.objects.left(agent) if Spending.objects.are_all_seen_by(reader) else []
    return {
        "agent": agent,
        "bot": settings,
        "said": {name: getattr(settings, name) for name in SETTINGS},
        "said_limits": _shown(Budget.objects.of(agent)),
        "wants": _told(settings),
        "limits": [_bar(limit) for limit in limits if limit.whose in ("bot", "house")],
        "month": spent.this_month().total(),
        "ever": spent.total(),
        "runs": [{"run": run, "spent": by_run.get(run.pk)} for run in last],
    }


def _told(bot: Bot) -> str:
    try:
        bot.ready()
    except NotReady as not_ready:
        return not_ready.detail
    runtime = str(bot.agent.runtime)
    if runtime in ADAPTERS and installed(runtime) is None:
        how = f"an operator does that with `manage.py runtimes install {runtime}`"
        return f"The agent program {runtime} is not installed; {how}."
    return ""


def _bar(limit: Limit) -> dict[str, Any]:
    return {
        "limit": limit,
        "share": min(100, round(limit.share * 100)),
        "state": "spent-up" if limit.share >= 1 else "near" if limit.share >= 0.8 else "",
    }


@in_house
@require_safe
def spending(request: HttpRequest, house: House) -> HttpResponse:
    """What models have cost in this house: this month, by bot and by thread, as far as one may read."""
    reader = agent_of(request)
    rows = Spending.objects.visible_to(reader)
    month = rows.this_month()
    by_bot, by_thread = month.by("agent_id"), month.by("thread_id")
    names = {agent.pk: agent for agent in Agent.objects.filter(pk__in=by_bot)}
    costly = sorted(by_thread.items(), key=lambda item: (item[1].usd or 0, item[1].tokens), reverse=True)[:30]
    threads = Thread.objects.readable_by(reader).in_bulk([pk for pk, _ in costly])
    context = {
        **_around(request, house),
        "month": month.total(),
        "ever": rows.total(),
        "bots": [(names.get(pk), spent) for pk, spent in by_bot.items()],
        "threads": [(threads.get(pk), spent) for pk, spent in costly],
    }
    return render(request, "houses/spending.html", context)


def _around(request: HttpRequest, house: House) -> dict[str, Any]:
    return {
        "house": house,
        "here": "settings",
        "manages": may(agent_of(request), X, house),
        "runtimes": RUNTIMES,
        "apis": APIS,
        "addresses": ADDRESSES,
        "answer_when": ((MENTION, "When it is mentioned"), (ALWAYS, "Always")),
        "secrets": list(Secret.objects.order_by("name").values_list("name", flat=True)[:200]),
    }


def _settings(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip() for name in SETTINGS} | {
        "answers": request.POST.get("answers", MENTION)
    }


def _refused(detail: str) -> dict[str, str]:
    """What was refused; where it begins with the name of a field it stands there, and the form says that name."""
    name, _, sentence = detail.partition(": ")
    return {"wrong": name, "detail": sentence[:1].upper() + sentence[1:]} if name in SETTINGS else {"detail": detail}


def _limits(request: HttpRequest) -> dict[str, Any]:
    """What the form says; an empty field is no limit."""
    return {name: _number(name, request.POST.get(name, "").strip()) for name in LIMITS}


def _shown(budget: Budget | None) -> dict[str, str]:
    """Limits as somebody would type them."""
    given = {name: getattr(budget, name, None) for name in LIMITS}
    return {name: f"{Decimal(most).normalize():f}" for name, most in given.items() if most is not None}


def _number(name: str, text: str) -> int | Decimal | None:
    text = text.replace(",", "").removeprefix("$").strip()
    if not text:
        return None
    try:
        return Decimal(text) if name.endswith("usd") else int(text)
    except (ValueError, InvalidOperation) as wrong:
        raise Invalid(f"A limit is a number of {UNITS[name.partition('_')[2]]}, or nothing.") from wrong


HERE = "houses/<str:house_id>/settings/"

urlpatterns = [
    path(HERE + "agents/", bots, name="bots"),
    path(HERE + "agents/new/", bot_new, name="bot_new"),
    path(HERE + "agents/<uuid:agent_id>/", bot, name="bot"),
    path(HERE + "spending/", spending, name="spending"),
]
