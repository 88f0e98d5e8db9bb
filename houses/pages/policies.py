"""Pages of activation policies: when bots start by themselves. They are kept; nothing fires yet."""

import json
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from houses.agents import BOT, Agent
from houses.aims import shown
from houses.finding import found, member_named
from houses.indoors import agent_of, in_house
from houses.models import ActivationPolicy, House, Resource, Tool
from houses.pages.record_forms import JSONObject, RecordForm, Several, Text, edited, filled_in, listed, shown_json
from houses.triggers import KNOWN, TRIGGERS, in_words

NOT_YET = "Policies are kept and checked here. Nothing fires yet: until it does, bots start when they are asked."
EXAMPLES = [(name, json.dumps(known.example, ensure_ascii=False)) for name, known in KNOWN.items()]


class PolicyForm(RecordForm):
    """A reason for a bot to start."""

    objects = ("config",)
    agent = forms.ChoiceField(label="Bot")
    name = Text(required=False, max_length=200, example="Monday's bread")
    trigger = Text(mono=True, choices=TRIGGERS, example="cron", help_text="What starts it; another word is fine too.")
    config = JSONObject(label="Particulars", rows=4, example=EXAMPLES[0][1], help_text="JSON, as the trigger wants it.")
    resources = Several(help_text="What it is about.")
    tools = Several(help_text="What it is to use, as far as the bot has x on it then.")
    enabled = forms.BooleanField(required=False, initial=True, label="Switched on", help_text="For when policies fire.")

    def __init__(self, house: House, by: Agent, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bots = Agent.objects.filter(memberships__house_id=house.pk, kind=BOT).order_by("name")
        self._offer("agent", [(str(bot.pk), str(bot)) for bot in bots])
        self._offer("resources", [(o.pk, o.name) for o in Resource.objects.seen_by(by).order_by("name", "pk")])
        self._offer("tools", [(one.pk, one.name) for one in Tool.objects.seen_by(by).order_by("name", "pk")])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


@in_house
def policies(request: HttpRequest, house: House) -> HttpResponse:
    by = agent_of(request)
    rows = ActivationPolicy.objects.shown_to(by).order_by("agent__name", "created_at", "pk")
    return listed(
        request,
        house,
        rows,
        lambda one: {
            "url": reverse("policy", args=[house.pk, one.pk]),
            "face": one.agent,
            "name": one.name or f"{one.agent}, {one.when}",
            "about": f"{one.agent} · {one.when}",
            "chip": "on" if one.enabled else "off",
        },
        ready=lambda some: _as_seen(some, by),
        tab="policies",
        title="Policies",
        note=NOT_YET,
        new_url=reverse("policy_new", args=[house.pk]),
        new_word="New policy",
        first_word="Say when a bot starts",
        empty="A policy says when a bot starts by itself: at a time, at an event, when somebody mentions it; "
        "what it is about, and which tools it uses.",
    )


@in_house
@require_http_methods(["GET", "POST"])
def policy(request: HttpRequest, house: House, policy_id: str | None = None) -> HttpResponse:
    """Say when a bot starts, or change that."""
    by = agent_of(request)
    one = _one(request, policy_id) if policy_id else None
    form = PolicyForm(house, by, request.POST or None, initial=_filled_in(one) if one else None)
    if one is not None:
        del form.fields["agent"]

    return edited(
        request,
        house,
        form,
        one=one,
        create=_create,
        then=reverse("policies", args=[house.pk]),
        title=(one.name or f"{one.agent}, {one.when}") if one else "New policy",
        trail="Policies",
        note=NOT_YET,
        examples=EXAMPLES,
        remove_url=reverse("policy_remove", args=[house.pk, one.pk]) if one else "",
        remove_words=f"{one.agent} does not start by it any more." if one else "",
    )


@in_house
@require_POST
def policy_remove(request: HttpRequest, house: House, policy_id: str) -> HttpResponse:
    _one(request, policy_id).remove(by=agent_of(request))
    return redirect("policies", house.pk)


def _create(*, agent: str, **given: Any) -> None:
    ActivationPolicy.objects.create_for(member_named(agent), **given)


def _filled_in(one: Any) -> dict[str, Any]:
    said = filled_in(one, texts=("name", "trigger", "enabled", "tools"))
    return said | {"resources": [bound.resource_id for bound in one.seen], "config": shown_json(one.told)}


def _one(request: HttpRequest, policy_id: str) -> Any:
    by = agent_of(request)
    one = found(ActivationPolicy.objects.shown_to(by), "This house has no such policy.", pk=policy_id)
    return _as_seen([one], by)[0]


def _as_seen(policies: list[Any], by: Agent) -> list[Any]:
    """Each with as much of its particulars and its tools as whoever looks may read."""
    aims = shown(((one.trigger, one.config, one.tool_ids) for one in policies), by)
    for one, (config, tools) in zip(policies, aims, strict=True):
        one.told, one.tools, one.when = config, tools, in_words(one.trigger, config)
    return policies
