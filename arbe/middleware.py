"""What every page says to the browser, and how a refusal becomes a page."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from houses.answers import refused_page
from houses.refusals import Refused

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
Answer = Callable[[HttpRequest], HttpResponse]


class ContentSecurityPolicy:
    """No inline scripts, no foreign origins. The admin and the API's reading room bring inline styles of their own."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = POLICY
        if request.path.startswith(("/admin/", "/api/docs/")):
            policy = policy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
        if request.path.startswith("/api/docs/"):
            policy = policy.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'")
        response.headers.setdefault("Content-Security-Policy", policy)
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
