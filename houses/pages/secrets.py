"""Pages of secrets: names and no values. How far each reaches is told by `threads.pages.secrets`."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import House, Secret
from houses.refusals import Refused
from houses.rights import may
from houses.scopes import X


@in_house
@require_http_methods(["GET", "POST"])
def secrets(request: HttpRequest, house: House) -> HttpResponse:
    """Names and no values."""
    agent, context, status = agent_of(request), dict[str, Any](), 200
    if request.method == "POST":
        try:
            with transaction.atomic():
                Secret.objects.put(request.POST.get("name", ""), request.POST.get("value", ""), by=agent)
            return redirect("secrets", house.pk)
        except Refused as refused:
            context, status = {"detail": refused.detail, "name": request.POST.get("name", "")}, refused.status
    kept = Secret.objects.select_related("rotated_by").order_by("name")
    context |= {"house": house, "secrets": kept, "may_manage": may(agent, X, house), "here": "settings"}
    return render(request, "houses/secrets.html", context, status=status)


@in_house
@require_POST
def secret(request: HttpRequest, house: House, name: str) -> HttpResponse:
    """A new value, or none any more."""
    one = found(Secret.objects.all(), f"This house has no secret {name}.", name=name)
    if "delete" in request.POST:
        one.forget(by=agent_of(request))
        return redirect("secrets", house.pk)
    Secret.objects.put(name, request.POST.get("value", ""), by=agent_of(request))
    return redirect("secret_uses", house.pk, name)


urlpatterns = [
    path("houses/<str:house_id>/settings/secrets/", secrets, name="secrets"),
    path("houses/<str:house_id>/settings/secrets/<str:name>/", secret, name="secret"),
]
