"""Who is asking the API: a bearer token of one house, or the session of somebody who came in by the page.

Kept apart from the views: REST framework loads these classes by name while its own views are being imported.
"""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from houses.agents import Agent
from houses.credentials import Token

SCHEME = "bearer"


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer arbe_<house>_<secret>` speaks for one agent, in one house."""

    def authenticate(self, request: Request) -> tuple[Agent, Token] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        token = Token.objects.read(text.strip())
        return token.agent, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arbe"'


class PageSession(SessionAuthentication):
    """The browser's session; whatever changes something has to carry the page's CSRF token."""


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the base class registers itself
    """How the schema tells of tokens."""

    target_class = "houses.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        told = "A token opens one house: make one under Settings → Members."
        return {"type": "http", "scheme": SCHEME, "description": told}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """How the schema tells of sessions."""

    target_class = "houses.authentication.PageSession"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        from django.conf import settings

        told = "The cookie of the pages; changes need the X-CSRFToken header too."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": told}
