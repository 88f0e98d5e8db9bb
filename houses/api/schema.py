"""How the API tells of itself: each operation once, with what it takes, what it gives, and how it refuses."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse, extend_schema

from houses.answers import RefusalSerializer
from houses.authentication import SCHEME

F = TypeVar("F", bound=Callable[..., Any])


def operation(
    name: str, tag: str, *, takes: Any = None, gives: Any = None, status: int = 200, query: Any = None
) -> Callable[[F], F]:
    """What the schema says of a view's method; its docstring is the description."""
    return extend_schema(
        operation_id=name,
        tags=[tag],
        request=takes,
        responses={
            status if gives is not None else 204: gives,
            "default": OpenApiResponse(RefusalSerializer, "Refused; nothing of it was done."),
        },
        parameters=[query] if query is not None else None,
    )


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the base class registers it, untyped
    """Tokens."""

    target_class = "houses.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        told = "A token opens one house: people make them under their name, and for bots under Settings → Members."
        return {"type": "http", "scheme": SCHEME, "description": told}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """Sessions."""

    target_class = "houses.authentication.PageSession"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        told = "The cookie of the pages; a change needs the X-CSRFToken header too."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": told}
