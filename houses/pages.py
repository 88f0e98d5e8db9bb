"""Pages of houses: the houses of an agent, members and secrets."""

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.middleware import HtmxDetails

from houses import coming_in, own_pages
from houses.agents import RUNTIMES
from houses.answers import refused_page
from houses.arrivals import welcome_bot, welcome_person
from houses.coming_in import agent_of
from houses.credentials import sign_in_address
from houses.finding import found
from houses.membership import house_for, houses_of
from houses.models import Agent, House, Member, Secret, SignInLink, Token
from houses.refusals import Invalid, Refused, TooLarge
from houses.tenancy import as_agent, inside

P = ParamSpec("P")
Page = Callable[..., HttpResponse]


class PageRequest(HttpRequest):
    """A request as the middleware hands it on."""

    htmx: HtmxDetails


def in_house(view: Callable[Concatenate[PageRequest, House, P], HttpResponse]) -> Page:
    """A page inside a house, for its members. It renders before the house is left: `render`, never lazily."""

    def page(request: PageRequest, house: House, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        with inside(house, agent_of(request)):
            return view(request, house, *args, **kwargs)

    update_wrapper(page, view)
    return of_house(page)


def of_house(view: Callable[Concatenate[PageRequest, House, P], HttpResponse]) -> Page:
    """A page for the house's members that goes inside by itself, because it waits for something else meanwhile."""

    @login_required
    @wraps(view)
    def page(request: PageRequest, house_id: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        _refuse_nul(request)
        return view(request, house_for(house_id, agent_of(request)), *args, **kwargs)

    return page


def _refuse_nul(request: HttpRequest) -> None:
    """The database keeps every text but NUL; what people say is cleaned of it by its verb."""
    given = [
        value for name, values in (*request.GET.lists(), *request.POST.lists()) if name != "text" for value in values
    ]
    if any("\0" in value for value in (request.path, *given)):
        raise Invalid("An address and a name cannot have a NUL character in them.")


def told(response: HttpResponse, sentence: str) -> HttpResponse:
    """Let the page say something when htmx gets this answer. Headers are Latin-1, so the sentence is quoted."""
    response.headers["X-Told"] = quote(sentence)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django refuses before a page is asked: said like every other refusal."""
    refusal: Refused = Invalid("That request cannot be understood; go back and try again.")
    if isinstance(exception, RequestDataTooBig):
        refusal = TooLarge("That is more than the 4 MB a form takes; put it into a file and upload that.")
    return refused_page(request, refusal)


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The only house, if there is only one."""
    mine = houses_of(agent_of(request))
    return redirect("house", mine[0].pk) if len(mine) == 1 else redirect("houses")


@login_required
@require_http_methods(["GET", "POST"])
def houses(request: HttpRequest) -> HttpResponse:
    agent, context, status = agent_of(request), {}, 200
    if request.method == "POST":
        try:
            return redirect("house", House.objects.found(request.POST.get("name", ""), by=agent).pk)
        except Refused as refused:
            context, status = {"detail": refused.detail}, refused.status
    with as_agent(agent):
        roles = dict(Member.objects.filter(agent=agent).values_list("house_id", "role"))
    mine = [{"id": house.pk, "name": house.name, "my_role": roles.get(house.pk)} for house in houses_of(agent)]
    return render(request, "houses/houses.html", {"houses": mine, **context}, status=status)


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
    live = Token.objects.live().order_by("-created_at")
    context = {
        "house": house,
        "members": everybody.prefetch_related(Prefetch("agent__tokens", live, "live_tokens")),
        "mine": Member.objects.of(agent_of(request)),
        "runtimes": RUNTIMES,
        "here": "settings",
        **more,
    }
    response = render(request, "houses/members.html", context, status=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _admit(request: HttpRequest, house: House) -> dict[str, str]:
    by, name = agent_of(request), request.POST.get("name", "")
    if request.POST.get("kind") == "bot":
        return _token_once(welcome_bot(house, name, request.POST.get("runtime", ""), by=by).agent, by)
    member, secret = welcome_person(house, request.POST.get("email", ""), name=name, by=by)
    if secret is None:
        words = f"{member.agent} was here before and comes in as always."
        return {"title": f"{member.agent} is in {house}", "words": words, "value": request.build_absolute_uri("/")}
    return _link_once(member.agent, secret)


def _link_once(person: Agent, secret: str) -> dict[str, str]:
    words = f"Send this link to {person}; it signs them in once, within a day. It is shown this once."
    return {"title": f"{person} can come in", "words": words, "value": sign_in_address(secret)}


def _token_once(bot: Agent, by: Agent) -> dict[str, str]:
    _, text = Token.objects.mint(bot, "made under Settings", by=by)
    words = "The token speaks for it in this house for 90 days. It is shown this once."
    return {"title": f"{bot} comes in with this token", "words": words, "value": text}


@in_house
@require_POST
def member(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """Change a role, or take somebody out."""
    one, by = _member_of(agent_id), agent_of(request)
    if "remove" in request.POST:
        one.leave(by=by)
        return redirect("houses" if one.agent_id == by.pk else reverse("members", args=[house.pk]))
    one.change_role(request.POST.get("role", ""), by=by)
    return redirect("members", house.pk)


@in_house
@require_POST
def bot_token(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """Another token for a bot of the house."""
    return _members(request, house, once=_token_once(_member_of(agent_id).agent, agent_of(request)))


@in_house
@require_POST
def token(request: HttpRequest, house: House, token_id: str) -> HttpResponse:
    """Revoke it: one's own, or one of a bot."""
    one, by = found(Token.objects.all(), "This house has no such token.", pk=token_id), agent_of(request)
    one.revoke(by=by)
    return redirect("you") if one.agent_id == by.pk else redirect("members", house.pk)


@in_house
@require_POST
def another_link(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """A new sign-in link for somebody who lost theirs."""
    person = _member_of(agent_id).agent
    return _members(
        request, house, once=_link_once(person, SignInLink.objects.make_again(person, by=agent_of(request)))
    )


def _member_of(agent_id: UUID) -> Member:
    return found(Member.objects.select_related("agent"), "Nobody of that id is in this house.", agent_id=agent_id)


@in_house
@require_http_methods(["GET", "POST"])
def secrets(request: HttpRequest, house: House) -> HttpResponse:
    """Names and no values."""
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        try:
            with transaction.atomic():
                Secret.objects.put(request.POST.get("name", ""), request.POST.get("value", ""), by=agent_of(request))
            return redirect("secrets", house.pk)
        except Refused as refused:
            context, status = {"detail": refused.detail, "name": request.POST.get("name", "")}, refused.status
    context |= {"house": house, "secrets": Secret.objects.order_by("name"), "here": "settings"}
    return render(request, "houses/secrets.html", context, status=status)


@in_house
@require_POST
def secret(request: HttpRequest, house: House, name: str) -> HttpResponse:
    """A new value, or none any more."""
    one = found(Secret.objects.all(), f"This house has no secret {name}.", name=name)
    if "delete" in request.POST:
        one.forget(by=agent_of(request))
    else:
        Secret.objects.put(name, request.POST.get("value", ""), by=agent_of(request))
    return redirect("secrets", house.pk)


urlpatterns = [
    path("", home, name="home"),
    path("sign-in/", coming_in.sign_in, name="sign_in"),
    path("sign-in/<str:secret>/", coming_in.sign_in_link, name="sign_in_link"),
    path("sign-out/", coming_in.sign_out, name="sign_out"),
    path("you/", own_pages.you, name="you"),
    path("you/tokens/", own_pages.own_token, name="own_token"),
    path("houses/", houses, name="houses"),
    path("houses/<str:house_id>/settings/members/", members, name="members"),
    path("houses/<str:house_id>/settings/members/<uuid:agent_id>/", member, name="member"),
    path("houses/<str:house_id>/settings/members/<uuid:agent_id>/token/", bot_token, name="bot_token"),
    path("houses/<str:house_id>/settings/members/<uuid:agent_id>/link/", another_link, name="another_link"),
    path("houses/<str:house_id>/settings/tokens/<str:token_id>/", token, name="token"),
    path("houses/<str:house_id>/settings/secrets/", secrets, name="secrets"),
    path("houses/<str:house_id>/settings/secrets/<str:name>/", secret, name="secret"),
]
