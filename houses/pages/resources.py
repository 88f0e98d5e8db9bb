"""Pages of resources: the things outside that a house's agents operate on."""

from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import House, Resource
from houses.pages.record_forms import JSONObject, RecordForm, Text, edited, filled_in, listed
from houses.resources import KINDS


class ResourceForm(RecordForm):
    """A resource."""

    objects = ("config",)
    name = Text(max_length=200, example="Bread")
    kind = Text(mono=True, choices=KINDS, example="github-repo", help_text="One word; any will do.")
    external_id = Text(
        mono=True, label="Id over there", example="oak/bread", help_text="What the other platform calls it."
    )
    config = JSONObject(
        label="Particulars",
        example='{"default_branch": "main"}',
        help_text="JSON that whatever works with it needs. Everybody in the house reads this: no secrets.",
    )


@in_house(needs=None)
def resources(request: HttpRequest, house: House) -> HttpResponse:
    rows = Resource.objects.seen_by(agent_of(request)).order_by("name", "pk")
    return listed(
        request,
        house,
        rows,
        lambda one: {
            "url": reverse("resource", args=[house.pk, one.pk]),
            "icon": "link",
            "name": one.name,
            "about": f"{one.kind} · {one.external_id}",
        },
        tab="resources",
        title="Resources",
        new_url=reverse("resource_new", args=[house.pk]),
        new_word="New resource",
        first_word="Name the first one",
        empty="A resource is something outside that agents work on: a repository of a forge, a channel, a workspace. "
        "Whoever has x on it may operate on it.",
    )


@in_house(needs=None)
@require_http_methods(["GET", "POST"])
def resource(request: HttpRequest, house: House, resource_id: str | None = None) -> HttpResponse:
    """Name something outside, or change what is known of it."""
    one = _one(request, resource_id) if resource_id else None

    return edited(
        request,
        house,
        ResourceForm(
            request.POST or None,
            initial=filled_in(one, texts=("name", "kind", "external_id"), objects=("config",)) if one else None,
        ),
        one=one,
        create=partial(Resource.objects.create_in, house),
        then=reverse("resources", args=[house.pk]),
        title=one.name if one else "New resource",
        trail="Resources",
        remove_url=reverse("resource_remove", args=[house.pk, one.pk]) if one else "",
        remove_words="What was granted on it, its bindings and its place in policies go along.",
    )


@in_house(needs=None)
@require_POST
def resource_remove(request: HttpRequest, house: House, resource_id: str) -> HttpResponse:
    _one(request, resource_id).remove(by=agent_of(request))
    return redirect("resources", house.pk)


def _one(request: HttpRequest, resource_id: str) -> Resource:
    return found(Resource.objects.seen_by(agent_of(request)), "This house has no such resource.", pk=resource_id)
