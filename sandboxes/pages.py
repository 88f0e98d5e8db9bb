"""Pages of environments: what a machine should be."""

from dataclasses import asdict
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST

from artifacts.models import Repository
from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import House, Secret
from houses.refusals import Refused
from sandboxes.models import Environment
from sandboxes.provider import DEFAULT_LIMITS

LIMITS = {
    "memory_mb": "Memory, MB",
    "cpu_seconds": "CPU time, s",
    "wall_seconds": "Time, s",
    "processes": "Processes",
    "file_mb": "Largest file, MB",
    "output_mb": "Output, MB",
}


class EnvironmentForm(forms.Form):
    """The recipe as a person fills it in."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"placeholder": "Python"}))
    repository = forms.ChoiceField(help_text="Its files are on the machine; what commands make lands there.")
    setup = forms.CharField(
        required=False,
        label="Set-up",
        help_text="A shell script that runs once, when the machine is made.",
        widget=forms.Textarea(attrs={"class": "mono", "rows": 4, "spellcheck": "false"}),
    )
    network = forms.BooleanField(
        required=False, label="Network", help_text="Commands may reach the internet. Without this they reach nothing."
    )
    variables = forms.CharField(
        required=False,
        help_text="One NAME=value a line, for values that are no secret.",
        widget=forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false", "placeholder": "LANG=C.UTF-8"}),
    )
    secrets = forms.CharField(
        required=False,
        help_text="One name a line. Commands get the values; without one that is not marked with ? they do not start.",
        widget=forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false", "placeholder": "API_KEY"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        repositories = [(one.pk, one.name) for one in Repository.objects.order_by("name")]
        self.fields["repository"] = forms.ChoiceField(
            choices=[*repositories, ("", "A new one, named like the environment")],
            required=False,
            help_text=self.base_fields["repository"].help_text,
        )
        for name, label in LIMITS.items():
            self.fields[name] = forms.FloatField(min_value=0.01, label=label, initial=asdict(DEFAULT_LIMITS)[name])

    @property
    def limits(self) -> list[forms.BoundField]:
        return [self[name] for name in LIMITS]

    def recipe(self) -> dict[str, Any]:
        """The arguments of the verbs of an environment."""
        given = self.cleaned_data
        limits = {name: int(given[name]) if given[name] == int(given[name]) else given[name] for name in LIMITS}
        config = {
            "image": "system",
            "setup": given["setup"].replace("\r\n", "\n"),
            "network": given["network"],
            "limits": limits,
            "env": dict(line.partition("=")[::2] for line in _lines(given["variables"])),
        }
        if given["repository"]:
            config["repository"] = given["repository"]
        bindings = [{"name": n.removesuffix("?"), "required": not n.endswith("?")} for n in _lines(given["secrets"])]
        return {"name": given["name"], "config": config, "secret_bindings": bindings}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def filled_in(environment: Environment) -> dict[str, Any]:
    """The form's first values for an environment that is there."""
    config = environment.config
    names = [b["name"] + ("" if b.get("required", True) else "?") for b in environment.secret_bindings]
    return {
        "name": environment.name,
        "repository": config.get("repository"),
        "setup": config.get("setup", ""),
        "network": config.get("network", False),
        "variables": "\n".join(f"{name}={value}" for name, value in config.get("env", {}).items()),
        "secrets": "\n".join(names),
        **asdict(environment.limits),
    }


@in_house
def environments(request: HttpRequest, house: House) -> HttpResponse:
    names = dict(Repository.objects.values_list("id", "name"))
    rows = [
        {
            "id": one.pk,
            "name": one.name,
            "config": one.config,
            "repository_name": names.get(one.config.get("repository")),
        }
        for one in Environment.objects.order_by("name")
    ]
    return render(request, "sandboxes/environments.html", {"house": house, "environments": rows, "here": "settings"})


@in_house
@require_http_methods(["GET", "POST"])
def environment(request: HttpRequest, house: House, environment_id: str | None = None) -> HttpResponse:
    """Describe a new machine, or change the recipe of one."""
    one = environment_of(environment_id) if environment_id else None
    form = EnvironmentForm(request.POST or None, initial=filled_in(one) if one else None)
    context: dict[str, Any] = {"house": house, "environment": one, "form": form, "here": "settings"}
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                _keep(house, one, form, request)
            return redirect("environments", house.pk)
        except Refused as refused:
            context["detail"], status = refused.detail, refused.status
    elif request.method == "POST":
        status = 400
    context["known_secrets"] = list(Secret.objects.order_by("name").values_list("name", flat=True))
    return render(request, "sandboxes/environment.html", context, status=status)


def _keep(house: House, one: Environment | None, form: EnvironmentForm, request: HttpRequest) -> None:
    recipe, by = form.recipe(), agent_of(request)
    if one is None:
        Environment.objects.create_in(house, by=by, **recipe)
    else:
        one.change(by=by, **recipe)


@in_house
@require_POST
def environment_default(request: HttpRequest, house: House, environment_id: str) -> HttpResponse:
    environment_of(environment_id).make_default(by=agent_of(request))
    return redirect("environments", house.pk)


def environment_of(environment_id: str) -> Environment:
    return found(Environment.objects.all(), "This house has no such environment.", pk=environment_id)


urlpatterns = [
    path("houses/<str:house_id>/settings/environments/", environments, name="environments"),
    path("houses/<str:house_id>/settings/environments/new/", environment, name="environment_new"),
    path("houses/<str:house_id>/settings/environments/<str:environment_id>/", environment, name="environment"),
    path(
        "houses/<str:house_id>/settings/environments/<str:environment_id>/default/",
        environment_default,
        name="environment_default",
    ),
]
