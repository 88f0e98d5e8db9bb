"""Pages for coming in and going out."""

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from houses.models import Agent, SignInLink
from houses.refusals import NotFound

BACKEND = "django.contrib.auth.backends.ModelBackend"


def agent_of(request: HttpRequest) -> Agent:
    """Who asks; the page is for somebody who came in."""
    if not isinstance(request.user, Agent):
        raise NotFound
    return request.user


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
        return render(request, "houses/sign_in.html")
    email = request.POST.get("email", "").strip()
    agent = authenticate(request, username=email, password=request.POST.get("password", ""))
    if not isinstance(agent, Agent):
        detail = "That address and password do not open anything here. Somebody who is in can make you a sign-in link."
        return render(request, "houses/sign_in.html", {"detail": detail, "email": email}, status=401)
    return _in(request, agent)


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    """A one-time link: looking at it, as mail scanners do, does not use it up."""
    link = SignInLink.objects.waiting(secret)
    if link is None:
        detail = "This sign-in link was used or has expired; ask for a new one."
        return render(request, "houses/sign_in.html", {"detail": detail}, status=401)
    if request.method != "POST":
        return render(request, "houses/sign_in.html", {"token": secret, "agent": link.agent})
    return _in(request, SignInLink.objects.use(secret))


def _in(request: HttpRequest, agent: Agent) -> HttpResponse:
    wanted = request.session.get("next") or settings.LOGIN_REDIRECT_URL
    login(request, agent, backend=BACKEND)
    return redirect(wanted)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign_in")
