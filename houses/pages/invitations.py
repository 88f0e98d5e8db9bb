"""Pages of invitations: whoever opens one sees which house and who invites, and comes in by a button."""

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.identity import IDENTITY, INVITATION, remember, remembered
from houses.indoors import agent_of, in_house
from houses.invitations import Invitation, NotShown
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
        return _page(request, opened)
    if "not_me" in request.POST:
        request.session.pop(IDENTITY, None)
        return redirect("invitation", text)
    request.session["next"] = reverse("house", args=[opened.house_id])
    if isinstance(request.user, Agent):
        opened.accept(by=request.user)
        _forget(request)
        return redirect(request.session.pop("next"))
    try:
        person = _somebody_new(request, opened)
    except Refused as refused:
        unshown = isinstance(refused, NotShown)
        return _page(request, opened, refused.status, detail=refused.detail, unshown=unshown)
    _forget(request)
    return come_in(request, person)


def _somebody_new(request: HttpRequest, opened: Invitation) -> Agent:
    name, not_theirs = request.POST.get("name", ""), "not_theirs" in request.POST
    if who := _identity(request):
        known = (who["provider"], who["uid"])
        return opened.accept_as_new(name=name, email=who["email"] or "", identity=known, not_theirs=not_theirs)
    password = request.POST.get("password", "")
    if not password:
        raise Invalid("Choose a password to come back with.")
    email = request.POST.get("email", "")
    return opened.accept_as_new(name=name, email=email, password=password, not_theirs=not_theirs)


def _identity(request: HttpRequest) -> dict[str, Any] | None:
    """Who a provider says they are: for the one invitation that they went there from."""
    who, match = remembered(request, IDENTITY), request.resolver_match
    return who if who and match and who["text"] == match.kwargs["text"] else None


def _forget(request: HttpRequest) -> None:
    for what in (IDENTITY, INVITATION):
        request.session.pop(what, None)


def _page(request: HttpRequest, opened: Invitation, status: int = 200, **more: Any) -> HttpResponse:
    # So that somebody whom a provider vouches for finds their way back.
    remember(request, INVITATION, {"text": request.path.strip("/").rpartition("/")[2]})
    more |= {"providers": get_adapter().list_providers(request), "identity": _identity(request)}
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
