"""Pages of who one is: a name, a password, and the tokens of one's own."""

from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from allauth.socialaccount.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.indoors import agent_of
from houses.membership import houses_of
from houses.models import Agent, Token
from houses.pages import token_forms
from houses.refusals import NotFound
from houses.tenancy import inside


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def you(request: HttpRequest) -> HttpResponse:
    """A name, and where everything else that is one's own is found."""
    if request.method != "POST":
        return you_page(request)
    agent_of(request).rename(request.POST.get("name", ""))
    return redirect("home")


@never_cache
@login_required
@require_POST
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """Out, at once, wherever it is open."""
    session = found(UserSession.objects.all(), "You have no such session.", user=request.user, pk=session_id)
    if session.is_current():
        logout(request)
    session.end()
    return redirect("usersessions_list")


@never_cache
@login_required
@require_POST
def own_token(request: HttpRequest) -> HttpResponse:
    """A token for a program of one's own, in one house."""
    agent = agent_of(request)
    house = next((one for one in houses_of(agent) if one.pk == request.POST.get("house")), None)
    if house is None:
        raise NotFound("You are in no such house.")
    with inside(house, agent):
        token, text = Token.objects.mint(agent, request.POST.get("name", ""), by=agent, **token_forms.asked(request))
    return you_page(request, once=token_forms.shown_once(token, text, house, by=agent))


def you_page(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
    agent = agent_of(request)
    houses = houses_of(agent)
    tokens = [{"house": house, "token": token} for house in houses for token in _tokens(house.pk, agent)]
    more |= {"has_factor": is_mfa_enabled(agent), "providers": get_adapter().list_providers(request)}
    return render(request, "houses/you.html", {"houses": houses, "tokens": tokens, **more}, status=status)


def _tokens(house_id: str, agent: Agent) -> list[Token]:
    with inside(house_id, agent):
        mine = Token.objects.live().lasting().filter(agent=agent)
        return list(mine.select_related("created_by").order_by("-created_at"))


urlpatterns = [
    path("you/", you, name="you"),
    path("you/tokens/", own_token, name="own_token"),
    path("you/sessions/<int:session_id>/", end_session, name="end_session"),
]
