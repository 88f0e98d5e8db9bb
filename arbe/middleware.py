"""What every page says to the browser, how a refusal becomes a page, and what is looked at before any page."""

import re
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from houses.answers import refused_page
from houses.refusals import Invalid, Refused

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
FEATURES = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()"
Answer = Callable[[HttpRequest], HttpResponse]


class WordsAlone:
    """What no column takes is refused before anybody looks for it; a session's key is letters and digits or nothing."""

    key = re.compile(r"[a-z0-9]{8,64}")
    free = frozenset({"text", "password", "password1", "password2", "oldpassword"})

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = settings.SESSION_COOKIE_NAME
        if name in request.COOKIES and not self.key.fullmatch(request.COOKIES[name]):
            del request.COOKIES[name]
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        if request.path.startswith("/api/"):  # says so itself, of what is in its bodies too
            return None
        given = [(name, text) for form in (request.GET, request.POST) for name, all_ in form.lists() for text in all_]
        if "\0" in request.path or any("\0" in name + text for name, text in given if name not in self.free):
            return refused_page(request, Invalid("A NUL character cannot be kept anywhere; leave it out."))
        return None


class SecureHeaders:
    """No inline scripts, no foreign origins, nothing that a page could switch on unasked.

    Django's own middleware says the rest. The admin and the API's reading room bring inline styles of their own.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = POLICY
        if request.path.startswith(("/admin/", "/api/docs/")):
            policy = policy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", FEATURES)
        return response


class RefusalsSpeak:
    """A `Refused` that reaches the edge of a page is shown as its sentence, with its status."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, refusal: Exception) -> HttpResponse | None:
        if not isinstance(refusal, Refused):
            return None
        return refused_page(request, refusal)


class LastSeen:
    """Writes down, once a minute, from where a session was used: for whoever wants to know which of theirs are open."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.session.session_key
        if key and request.user.is_authenticated and cache.add(f"seen:{key}", 1, 60):
            UserSession.objects.create_from_request(request)
        return self.get_response(request)


class OperatorsAlone:
    """Everything under the admin's address asks for what the admin asks for, whoever made the page."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        if request.path.startswith("/admin/") and not admin.site.has_permission(request):
            return admin.site.login(request)
        return None
