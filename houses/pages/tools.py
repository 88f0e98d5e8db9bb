"""Pages of tools: what agents can call."""

from functools import partial

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import House, Tool
from houses.pages.record_forms import JSONObject, Lines, RecordForm, Text, edited, filled_in, listed
from houses.tools import HTTP, MCP


class ToolForm(RecordForm):
    """A tool of the house."""

    objects = ("schema", "config")
    name = Text(mono=True, example="get_loaf", help_text="Letters, digits, - and _, as models call it.")
    kind = Text(mono=True, choices=(HTTP, MCP), example="http", help_text="http is one request, mcp a server of tools.")
    description = Lines(
        required=False, help_text="What it does, for whoever calls it.", example="Get a loaf by its id."
    )
    schema = JSONObject(
        label="Input",
        rows=7,
        example='{"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}',
        help_text="JSON Schema (2020-12) of what it takes; every call is checked against it.",
    )
    config = JSONObject(
        label="Address",
        rows=5,
        example='{"method": "GET", "url": "https://bread.example/{id}", '
        '"headers": {"Authorization": "Bearer ${API_KEY}"}}',
        help_text="http: method, url with {placeholders} of the input, headers. mcp: url, transport, headers. "
        "Headers name secrets as ${NAME}; no value stands here.",
    )


@in_house(needs=None)
def tools(request: HttpRequest, house: House) -> HttpResponse:
    rows = Tool.objects.seen_by(agent_of(request)).order_by("house_id", "name", "pk")  # those of the house come first
    return listed(
        request,
        house,
        rows,
        lambda one: {
            "url": reverse("tool", args=[house.pk, one.pk]),
            "icon": "spark",
            "name": one.name,
            "mono": True,
            "about": one.description or one.config.get("url", one.kind),
            "chip": "built in" if one.is_builtin else one.kind,
        },
        tab="tools",
        title="Tools",
        new_url=reverse("tool_new", args=[house.pk]),
        new_word="New tool",
        note="Tools of this installation are in every house; the house adds its own. "
        "Calling what a house adds comes later: until then it is described and checked here.",
    )


@in_house(needs=None)
@require_http_methods(["GET", "POST"])
def tool(request: HttpRequest, house: House, tool_id: str | None = None) -> HttpResponse:
    """Describe something that can be called, or change that."""
    one = _one(request, tool_id) if tool_id else None

    form = ToolForm(
        request.POST or None,
        initial=filled_in(one, texts=("name", "kind", "description"), objects=("schema", "config")) if one else None,
    )
    closed = bool(one and one.is_builtin)
    if closed:
        _close(form)
    return edited(
        request,
        house,
        form,
        one=one,
        create=partial(Tool.objects.create_in, house),
        then=reverse("tools", args=[house.pk]),
        title=one.name if one else "New tool",
        trail="Tools",
        closed=closed,
        note="This tool comes with the installation: every house has it, and none changes it." if closed else "",
        remove_url=reverse("tool_remove", args=[house.pk, one.pk]) if one else "",
        remove_words="What was granted on it goes along.",
    )


@in_house(needs=None)
@require_POST
def tool_remove(request: HttpRequest, house: House, tool_id: str) -> HttpResponse:
    _one(request, tool_id).remove(by=agent_of(request))
    return redirect("tools", house.pk)


def _close(form: forms.Form) -> None:
    for field in form.fields.values():
        field.disabled = True


def _one(request: HttpRequest, tool_id: str) -> Tool:
    return found(Tool.objects.seen_by(agent_of(request)), "This house has no such tool.", pk=tool_id)
