"""Who is asking the API: a bearer token of one house, or the session of somebody who came in by the page.

Kept apart from the views: REST framework loads these classes by name while its own views are being imported.
"""

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from houses.agents import Agent
from houses.attempts import address_of, wrong_token
from houses.credentials import Token
from houses.refusals import Refused

SCHEME = "bearer"


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer arbe_<house>_<secret>` speaks for one agent, in one house."""

    def authenticate(self, request: Request) -> tuple[Agent, Token] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        try:
            token = Token.objects.read(text.strip())
        except Refused:
            wrong_token(address_of(request))
            raise
        return token.bearer(), token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="arbe"'


class PageSession(SessionAuthentication):
    """The browser's session; whatever changes something has to carry the page's CSRF token."""
