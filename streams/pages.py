"""The page of signals: how long things took in this house, how they ended, and what they used."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

from houses.indoors import agent_of, of_house
from houses.models import Agent, House, Member
from houses.scopes import X
from houses.tenancy import inside
from streams.calls import StreamError
from streams.plots import Plot, Span, bytes_word, latency, outcomes, seconds_word, usage
from streams.signals import MOST, CommandWitnessed, FailureWitnessed, MakeWitnessed, since

SPANS = {"day": ("the last day", timedelta(days=1)), "week": ("the last week", timedelta(days=7))}
SPANS |= {"month": ("the last 30 days", timedelta(days=30)), "hour": ("the last hour", timedelta(hours=1))}
KINDS = {"command": CommandWitnessed.kind, "make": MakeWitnessed.kind, "failure": FailureWitnessed.kind}
SHOWN = 100
FIGURES = ("first_output", "seconds", "cpu_seconds", "memory_bytes", "output_bytes")  # which not every kind has


@of_house(needs=X)
@require_safe
def signals(request: HttpRequest, house: House) -> HttpResponse:
    """Plots over a time, and the last signals of it, for whoever manages: they tell of every thread.

    No transaction is open while the stream server is asked.
    """
    given = request.GET
    word, length = SPANS.get(given.get("span", ""), SPANS["day"])
    span = Span(timezone.now() - length, timezone.now())
    kinds = {KINDS[given["kind"]]} if given.get("kind") in KINDS else set(KINDS.values())
    try:
        events, is_cut = since(house, span.start, kinds, given.get("agent", ""))
    except StreamError:
        events, is_cut, unreadable = [], False, True
    else:
        unreadable = False
    with inside(house, agent_of(request)):
        context = _shown(given, span, events) | {"house": house, "is_cut": is_cut, "unreadable": unreadable}
        return render(request, "streams/signals.html", context | {"span_word": word})


def _shown(given: QueryDict, span: Span, events: list[dict[str, Any]]) -> dict[str, Any]:
    agents = list(Agent.objects.filter(pk__in=Member.objects.values("agent_id")).order_by("name"))
    names = {str(agent.pk): agent for agent in agents}
    return {
        "here": "settings",
        "given": given,
        "spans": sorted((length, name, words) for name, (words, length) in SPANS.items()),
        "kinds": KINDS,
        "agents": agents,
        "plots": plots_of(events, span),
        "rows": [_row(event, names) for event in events[:SHOWN]],
        "more": max(0, len(events) - SHOWN),
        "failures": [_row(event, names) for event in events if event["type"] == FailureWitnessed.kind][:20],
        "most": MOST,
    }


def plots_of(events: list[dict[str, Any]], span: Span) -> list[Plot]:
    """Those that have something to show."""
    commands = [event for event in events if event["type"] == CommandWitnessed.kind]
    drawn = [
        latency(commands, span),
        outcomes(commands, span),
        usage(commands, span, "cpu_seconds", "Processor time", seconds_word, peak=False),
        usage(commands, span, "memory_bytes", "Memory of the largest process", bytes_word, peak=True),
        usage(commands, span, "output_bytes", "Output", bytes_word, peak=False),
    ]
    return [plot for plot in drawn if not plot.is_empty]


def _row(event: dict[str, Any], names: dict[str, Agent]) -> dict[str, Any]:
    return {
        "at": datetime.fromisoformat(event["ts"]),
        "kind": event["type"].removeprefix("signal."),
        "agent": names.get(event["author_agent_id"], "somebody who has gone"),
        **dict.fromkeys(FIGURES),
        **event["payload"],
    }


urlpatterns = [path("houses/<str:house_id>/settings/signals/", signals, name="signals")]
