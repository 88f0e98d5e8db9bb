"""The page of a secret: how far it reaches, and what deleting it would mean."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from houses.indoors import agent_of, in_house
from houses.models import House
from houses.rights import may
from houses.scopes import X
from threads.secret_uses import Uses

MANY = 50


@in_house
@require_safe
def secret_uses(request: HttpRequest, house: House, name: str) -> HttpResponse:
    """What uses it, and who received it."""
    agent = agent_of(request)
    uses = Uses(name, by=agent)
    page = Paginator(uses.deliveries.select_related("agent"), MANY).get_page(request.GET.get("page", "1"))
    context = {
        "house": house,
        "uses": uses,
        "going": [one for one in uses.going if one.is_old],
        "received": uses.received(page.object_list),
        "page": page,
        "may_manage": may(agent, X, house),
        "here": "settings",
    }
    return render(request, "threads/secret.html", context)


urlpatterns = [path("houses/<str:house_id>/settings/secrets/<str:name>/uses/", secret_uses, name="secret_uses")]
