"""How the API tells of itself: each operation once, with what it takes, what it gives, and how it refuses."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from houses.answers import RefusalSerializer
from houses.api.idempotent import HEADER, LONGEST, REPLAYED
from houses.authentication import SCHEME

F = TypeVar("F", bound=Callable[..., Any])
GET, POST = "GET", "POST"
IN: Literal["header"] = "header"

KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": r"^[ -~]+$"},
    IN,
    description="Your name for this request: sent again within a day, it does nothing again and answers the same.",
)
MATCH = OpenApiParameter(
    "If-Match", str, IN, description="The `ETag` of what is changed: refused with 412 if it is another by now."
)
NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, IN, description="The `ETag` of what you have: answered with 304 if it is still that."
)
TAG = OpenApiParameter("ETag", str, IN, description="Changes with what was read.", response=[200])
RETRY = OpenApiParameter("Retry-After", int, IN, description="Seconds until you are answered again.", response=[429])
REPLAY = OpenApiParameter(
    REPLAYED, {"type": "string", "enum": ["true"]}, IN, description="On an answer given before.", response=[200, 201]
)

REFUSALS = {
    400: "What was sent cannot be understood or kept.",
    401: "Nobody said who they are, or the token does not open this house any more.",
    403: "You may see it, but this is not yours to do.",
    404: "It is not there, or it is not yours: the answer is the same for both.",
    409: "It cannot be done as things are.",
    412: "It is not what `If-Match` or `If-None-Match` says.",
    413: "More bytes than this address takes.",
    415: "Not a kind of content that this address takes.",
    422: "This Idempotency-Key came with another request before.",
    429: "More requests in a minute than this installation answers.",
}


def operation(
    name: str, tag: str, *, takes: Any = None, gives: Any = None, status: int = 200, query: Any = None
) -> Callable[[F], F]:
    """What the schema says of a view's method; its docstring is the description."""
    return extend_schema(
        operation_id=name,
        tags=[tag],
        request=takes,
        responses={status if gives is not None else 204: gives},
        parameters=[query] if query is not None else None,
    )


class ApiSchema(AutoSchema):
    """What every operation has without saying so: its headers, and how it refuses."""

    def get_override_parameters(self) -> list[Any]:
        return [*super().get_override_parameters(), RETRY, *self._headers()]

    def _headers(self) -> list[OpenApiParameter]:
        if self.method == GET:
            return [NONE_MATCH, TAG]
        if self.method == POST:
            return [KEY, REPLAY]
        return [MATCH] if hasattr(self.view, "get") and not getattr(self.view, "matches_itself", False) else []

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(*args, **kwargs)
        if self.method == GET:
            responses["304"] = {"description": "You have it already."}
        for status in sorted(self._refusals()):
            responses[str(status)] = self._refusal(str(status), REFUSALS[status])
        responses["default"] = self._refusal("default", "Refused; nothing of it was done.")
        return responses

    def _refusal(self, status: str, sentence: str) -> Any:
        told = OpenApiResponse(RefusalSerializer, sentence)
        return self._get_response_for_code(told, status, ["application/json"])  # type: ignore[no-untyped-call]  # theirs

    def _refusals(self) -> set[int]:
        found = {400, 401, 403, 429}
        if "{house}" in self.path:
            found.add(404)
        if self.method != GET:
            found |= {409, 422} if self.method == POST else {409, 412}
        if self.method in (POST, "PUT", "PATCH"):
            found |= {413, 415}
        return found


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
