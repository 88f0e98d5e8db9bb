"""Pages for coming in and going out."""

from functools import partial
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.utils import perform_login
from allauth.account.views import password_reset
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from django.conf import settings
from django.contrib.auth import logout
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from houses.identity import post
from houses.models import Agent, SignInLink


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Where everybody lands who is not in: an address and a password, or a link to paste."""
    wanted = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        request.session["next"] = wanted
    if link := request.POST.get("link", "").strip().rstrip("/"):
        return redirect("sign_in_link", link.rpartition("/")[2][:100] or "none")
    if request.method != "POST":
        return _page(request)
    email = request.POST.get("email", "").strip()
    agent = get_adapter().authenticate(request, email=email, password=request.POST.get("password", ""))
    if not isinstance(agent, Agent):
        detail = "That address and password do not open anything here. Somebody who is in can make you a sign-in link."
        return _page(request, 401, detail=detail, email=email)
    return come_in(request, agent)


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    """A one-time link: looking at it, as mail scanners do, does not use it up."""
    link = SignInLink.objects.waiting(secret)
    if link is None:
        return _page(request, 401, detail="This sign-in link was used or has expired; ask for a new one.")
    if request.method != "POST":
        return _page(request, token=secret, agent=link.agent)
    return come_in(request, SignInLink.objects.use(secret))


@never_cache
def lost(request: HttpRequest) -> HttpResponse:
    """A new password by mail, if this installation sends any."""
    if not settings.SENDS_MAIL:
        return render(request, "account/password_reset.html")
    letters: list[EmailMessage] = []
    request.letters = letters  # type: ignore[attr-defined]  # `identity.Accounts` puts them there
    answer: HttpResponse = password_reset(request)
    if hasattr(answer, "render"):
        answer.render()
    # Once the answer is out, which is the same, and as quick, for an address that nobody here has.
    closers: list[Any] = answer._resource_closers  # type: ignore[attr-defined]  # as Django's own file answers do
    closers.extend(partial(post, letter) for letter in letters)
    return answer


def come_in(request: HttpRequest, agent: Agent) -> HttpResponse:
    """Whoever showed who they are is in, after their second factor if they have one."""
    answer: HttpResponse = perform_login(request, agent, redirect_url=request.session.pop("next", None))
    return answer


def _page(request: HttpRequest, status: int = 200, **more: object) -> HttpResponse:
    more["providers"] = get_social_adapter().list_providers(request)
    return render(request, "houses/sign_in.html", more, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign_in")


urlpatterns = [
    path("sign-in/", sign_in, name="sign_in"),
    path("sign-in/<str:secret>/", sign_in_link, name="sign_in_link"),
    path("sign-out/", sign_out, name="sign_out"),
]
