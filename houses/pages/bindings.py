"""Pages of secret bindings: which credential goes where, and to whom."""

from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from houses.agents import Agent
from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import House, Resource, Secret, SecretBinding
from houses.pages.record_forms import RecordForm, Several, Text, edited, listed


class BindingForm(RecordForm):
    """A credential, what it is for, and who gets it."""

    name = Text(max_length=200, example="Baker's key")
    secret = forms.ChoiceField(help_text="Kept under Settings → Secrets; its value is never shown.")
    resources = Several(help_text="What the credential is for.")
    agents = Several(label="Who gets it", help_text="Only for the resources that they have x on.")

    def __init__(self, house: House, by: Agent, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Secret.objects.order_by("name").values_list("name", "name")
        everybody = Agent.objects.filter(memberships__house_id=house.pk).order_by("-kind", "name")
        self.fields["secret"] = forms.ChoiceField(choices=names, help_text=self.base_fields["secret"].help_text)
        resources = [(one.pk, one.name) for one in Resource.objects.seen_by(by).order_by("name", "pk")]
        self._offer("resources", resources)
        self._offer("agents", [(str(one.pk), str(one)) for one in everybody])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, Several)
        field.choices = choices


@in_house
def bindings(request: HttpRequest, house: House) -> HttpResponse:
    rows = SecretBinding.objects.shown_to(agent_of(request)).order_by("name", "pk")
    return listed(
        request,
        house,
        rows,
        lambda one: {
            "url": reverse("binding", args=[house.pk, one.pk]),
            "icon": "key",
            "name": one.name,
            "about": _told(one),
            "chip": one.secret.name,
        },
        tab="bindings",
        title="Bindings",
        new_url=reverse("binding_new", args=[house.pk]),
        new_word="New binding",
        first_word="Bind the first one",
        empty="A binding hands a secret of the house to some agents, for some resources: "
        "one key may serve many repositories, and each agent gets it only for those it has x on.",
    )


@in_house
@require_http_methods(["GET", "POST"])
def binding(request: HttpRequest, house: House, binding_id: str | None = None) -> HttpResponse:
    """Bind a credential, or change where it goes."""
    by = agent_of(request)
    one = _one(request, binding_id) if binding_id else None

    return edited(
        request,
        house,
        BindingForm(house, by, request.POST or None, initial=_filled_in(one) if one else None),
        one=one,
        create=partial(SecretBinding.objects.create_in, house),
        then=reverse("bindings", args=[house.pk]),
        title=one.name if one else "New binding",
        trail="Bindings",
        remove_url=reverse("binding_remove", args=[house.pk, one.pk]) if one else "",
        remove_words="Nobody gets the credential by it any more; the secret stays.",
    )


@in_house
@require_POST
def binding_remove(request: HttpRequest, house: House, binding_id: str) -> HttpResponse:
    _one(request, binding_id).remove(by=agent_of(request))
    return redirect("bindings", house.pk)


def _told(one: Any) -> str:
    what = ", ".join(bound.resource.name for bound in one.seen) or "no resource"
    return f"{what} → {', '.join(str(bound.agent) for bound in one.bound_agents.all()) or 'nobody'}"


def _filled_in(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "secret": one.secret.name,
        "resources": [bound.resource_id for bound in one.seen],
        "agents": [str(bound.agent_id) for bound in one.bound_agents.all()],
    }


def _one(request: HttpRequest, binding_id: str) -> SecretBinding:
    rows = SecretBinding.objects.shown_to(agent_of(request))
    return found(rows, "This house has no such binding.", pk=binding_id)
