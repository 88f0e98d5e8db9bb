"""Pages of who is in a house, with the tokens and links by which they come in."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_POST

from houses.agents import RUNTIMES
from houses.arrivals import welcome_bot, welcome_person
from houses.credentials import sign_in_address
from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.invitations import Invitation, invitation_address
from houses.models import Agent, House, Member, SignInLink, Token
from houses.pages import token_forms
from houses.pages.you import you_page
from houses.refusals import Refused
from houses.rights import MEMBER, may
from houses.scopes import X


@in_house
@require_http_methods(["GET", "POST"])
def members(request: HttpRequest, house: House) -> HttpResponse:
    """Who is in the house. What is shown once is rendered into the answer itself and never stored."""
    if request.method != "POST":
        return _members(request, house)
    try:
        with transaction.atomic():
            return _members(request, house, once=_admit(request, house))
    except Refused as refused:
        return _members(request, house, detail=refused.detail, status=refused.status)


def _members(request: HttpRequest, house: House, status: int = 200, **more: Any) -> HttpResponse:
    everybody = Member.objects.select_related("agent").order_by("joined_at")
    live = Token.objects.live().lasting().select_related("created_by").order_by("-created_at")
    context = {
        "house": house,
        "members": everybody.prefetch_related(Prefetch("agent__tokens", live, "live_tokens")),
        "mine": Member.objects.of(agent_of(request)),
        "manages": may(agent_of(request), X, house),
        "runtimes": RUNTIMES,
        "invitations": Invitation.objects.waiting().select_related("invited_by").order_by("-created_at"),
        "here": "settings",
        **more,
    }
    response = render(request, "houses/members.html", context, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _admit(request: HttpRequest, house: House) -> dict[str, str]:
    by, name = agent_of(request), request.POST.get("name", "")
    if request.POST.get("kind") == "bot":
        return _token_once(request, house, welcome_bot(house, name, request.POST.get("runtime", ""), by=by).agent)
    email = request.POST.get("email", "")
    if request.POST.get("kind") == "invitation":
        _, text = Invitation.objects.make(by=by, role=request.POST.get("role", MEMBER), email=email)
        return _invited_once(invitation_address(text))
    came = welcome_person(house, email, name=name, by=by)
    if came.invitation_link:
        return _invited_once(came.invitation_link)
    return _link_once(came.member and came.member.agent, came.sign_in_link or "")


def _link_once(person: object, link: str) -> dict[str, str]:
    words = f"Send this link to {person}; it signs them in once, within a day. It is shown this once."
    return {"title": f"{person} can come in", "words": words, "value": link}


def _invited_once(link: str) -> dict[str, str]:
    words = "Send this link to whom you invite; it lets one person in, within a week. It is shown this once."
    return {"title": "The invitation is made", "words": words, "value": link}


def _token_once(request: HttpRequest, house: House, bot: Agent) -> dict[str, str]:
    by = agent_of(request)
    token, text = Token.objects.mint(bot, "made under Settings", by=by, **token_forms.asked(request))
    return token_forms.shown_once(token, text, house, by=by)


@in_house(needs=None)
@require_POST
def member(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """Change a role, or take somebody out."""
    one, by = found(Member.objects.select_related("agent"), agent_id=agent_id), agent_of(request)
    if "remove" in request.POST:
        one.leave(by=by)
        return redirect("houses" if one.agent_id == by.pk else reverse("members", args=[house.pk]))
    one.change_role(request.POST.get("role", ""), by=by)
    return redirect("members", house.pk)


@in_house
@require_POST
def bot_token(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """Another token for a bot of the house."""
    return _members(request, house, once=_token_once(request, house, _member_of(agent_id).agent))


@in_house(needs=None)
@require_POST
def token(request: HttpRequest, house: House, token_id: str) -> HttpResponse:
    """Revoke it, or put another in its place: one's own, or one of a bot."""
    by = agent_of(request)
    one = found(Token.objects.known_to(by), "This house has no such token.", pk=token_id)
    if "rotate" in request.POST:
        once = token_forms.shown_once(*one.rotate(by=by), house, by=by)
        return you_page(request, once=once) if one.agent_id == by.pk else _members(request, house, once=once)
    one.revoke(by=by)
    return redirect("you") if one.agent_id == by.pk else redirect("members", house.pk)


@in_house
@require_POST
def another_link(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """A new sign-in link for somebody who lost theirs."""
    person = _member_of(agent_id).agent
    return _members(
        request,
        house,
        once=_link_once(person, sign_in_address(SignInLink.objects.make_again(person, by=agent_of(request)))),
    )


def _member_of(agent_id: UUID) -> Member:
    return found(Member.objects.select_related("agent"), "Nobody of that id is in this house.", agent_id=agent_id)


SETTINGS = "houses/<str:house_id>/settings/"

urlpatterns = [
    path(SETTINGS + "members/", members, name="members"),
    path(SETTINGS + "members/<uuid:agent_id>/", member, name="member"),
    path(SETTINGS + "members/<uuid:agent_id>/token/", bot_token, name="bot_token"),
    path(SETTINGS + "members/<uuid:agent_id>/link/", another_link, name="another_link"),
    path(SETTINGS + "tokens/<str:token_id>/", token, name="token"),
]
