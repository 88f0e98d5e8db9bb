"""Pages of invitations: whoever opens one sees which house and who invites, and comes in by a button."""

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.identity import IDENTITY, INVITATION
from houses.indoors import agent_of, in_house
from houses.invitations import Invitation
from houses.models import Agent, House
from houses.pages.coming_in import come_in
from houses.refusals import Invalid, Refused
from houses.scopes import X


@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, text: str) -> HttpResponse:
    """Looking at it uses nothing up. The button does: as who is signed in, or as somebody new."""
    opened = Invitation.objects.read(text)
    if request.method != "POST":
        request.session[INVITATION] = text  # so that somebody whom a provider vouches for finds their way back
        return _page(request, opened)
    request.session["next"] = reverse("house", args=[opened.house_id])
    if isinstance(request.user, Agent):
        opened.accept(by=request.user)
        return redirect(request.session.pop("next"))
    try:
        person = _somebody_new(request, opened)
    except Refused as refused:
        return _page(request, opened, refused.status, detail=refused.detail)
    return come_in(request, person)


@transaction.atomic
def _somebody_new(request: HttpRequest, opened: Invitation) -> Agent:
    name, identity = request.POST.get("name", ""), request.session.get(IDENTITY)
    if identity is None:
        password = request.POST.get("password", "")
        if not password:
            raise Invalid("Choose a password to come back with.")
        return opened.accept_as_new(name=name, email=request.POST.get("email", ""), password=password)
    person = opened.accept_as_new(name=name, email=identity["email"] or "")
    SocialAccount.objects.create(user=person, provider=identity["provider"], uid=identity["uid"])
    return person


def _page(request: HttpRequest, opened: Invitation, status: int = 200, **more: Any) -> HttpResponse:
    more |= {"providers": get_adapter().list_providers(request), "identity": request.session.get(IDENTITY)}
    return render(request, "houses/invitation.html", {"invitation": opened, **more}, status=status)


@in_house(needs=X)
@require_POST
def take_back(request: HttpRequest, house: House, invitation_id: str) -> HttpResponse:
    found(Invitation.objects.all(), "This house has no such invitation.", pk=invitation_id).revoke(by=agent_of(request))
    return redirect("members", house.pk)


urlpatterns = [
    path("invitations/<str:text>/", invitation, name="invitation"),
    path("houses/<str:house_id>/settings/invitations/<str:invitation_id>/", take_back, name="take_back"),
]
