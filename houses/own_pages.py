"""Pages of who one is: a name, a password, and the tokens of one's own."""

from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from houses.coming_in import agent_of
from houses.membership import houses_of
from houses.models import Agent, Token
from houses.refusals import NotFound, Refused
from houses.tenancy import inside


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def you(request: HttpRequest) -> HttpResponse:
    """A name, and a password for coming back without a link."""
    if request.method != "POST":
        return _you(request)
    agent, password = agent_of(request), request.POST.get("password", "")
    try:
        with transaction.atomic():
            agent.rename(request.POST.get("name", ""))
            if password:
                agent.change_password(request.POST.get("old_password", ""), password)
    except Refused as refused:
        return _you(request, refused.status, detail=refused.detail)
    update_session_auth_hash(request, agent)
    return redirect("home")


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
        token, text = Token.objects.mint(agent, request.POST.get("name", ""), by=agent)
    words = f"Whoever holds it is you in {house}, for 90 days. It is shown this once."
    return _you(request, once={"title": f"Your token “{token}”", "words": words, "value": text})


def _you(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
    agent = agent_of(request)
    houses = houses_of(agent)
    tokens = [{"house": house, "token": token} for house in houses for token in _tokens(house.pk, agent)]
    return render(request, "houses/you.html", {"houses": houses, "tokens": tokens, **more}, status=status)


def _tokens(house_id: str, agent: Agent) -> list[Token]:
    with inside(house_id, agent):
        return list(Token.objects.live().filter(agent=agent).order_by("-created_at"))
