"""How no is said: by the API as `{"code", "detail"}`, for programs and for people; by a page as the sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import server_error
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from houses.attempts import TooManyAttempts
from houses.measures import REFUSALS
from houses.refusals import Forbidden, Invalid, NotFound, Refused, TooLarge, TooMany

_CODES = {
    "not_authenticated": "unauthenticated",
    "permission_denied": "forbidden",
    "parse_error": "invalid",
    "throttled": "too_many_requests",
}


class RefusalSerializer(serializers.Serializer[Any]):
    """Why a request was refused; nothing of it was done."""

    code = serializers.CharField(help_text="Stable, for programs.")
    detail = serializers.CharField(help_text="A sentence for people: what happened, and what to do.")


def refusal_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to a request that was refused; None for a bug, which is not answered with a sentence.

    The transaction is over by now: views do their work in a block that the error has left (`houses.api.view`).
    """
    if isinstance(error, exceptions.APIException):
        detail = _sentence(error)
        headers = _headers(error)
        return _say(error.status_code, _code(error), detail, headers)
    refused = _translated(error)
    if refused is None:
        return None
    return _say(refused.status, refused.code, refused.detail, _told_with(refused))


@csrf_exempt  # nothing is not to be protected, and says no in its own way
def no_such_address(request: HttpRequest, rest: str = "") -> JsonResponse:
    """What the API says where nothing is: the same as where something is that is not yours."""
    nowhere = NotFound()
    return JsonResponse({"code": nowhere.code, "detail": nowhere.detail}, status=nowhere.status)


def refused_page(request: HttpRequest, refused: Refused) -> HttpResponse:
    """A page that says no; for htmx, the sentence alone."""
    REFUSALS.labels(refused.code).inc()
    # What is refused before the middleware was asked has no `htmx`.
    template = "refusal_fragment.html" if getattr(request, "htmx", False) else "refused.html"
    response = render(request, template, {"refusal": refused}, status=refused.status)
    for name, value in _told_with(refused).items():
        response.headers[name] = value
    return response


def too_many(request: HttpRequest) -> HttpResponse:
    """What allauth answers with when something of its own was tried too often."""
    return refused_page(request, TooManyAttempts())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django refuses before a page is asked: said like every other refusal."""
    refusal: Refused = Invalid("That request cannot be understood; go back and try again.")
    if isinstance(exception, RequestDataTooBig):
        refusal = TooLarge("That is more than the 4 MB a form takes; put it into a file and upload that.")
    return refused_page(request, refusal)


def our_fault(request: HttpRequest) -> HttpResponse:
    """A bug, said so, in the shape that whoever asked can read."""
    if not request.path.startswith("/api/"):
        return server_error(request)
    detail = "Something went wrong on our side; nothing was changed, and the log of this installation has the reason."
    return JsonResponse({"code": "our_fault", "detail": detail}, status=500)


def _translated(error: Exception) -> Refused | None:
    match error:
        case Refused():
            return error
        case RequestDataTooBig():
            return TooLarge("That is more than this address takes.")
        case Http404():
            return NotFound()
        case PermissionDenied():
            return Forbidden("This is not yours to do.")
    return None


def _told_with(refused: Refused) -> dict[str, str]:
    if isinstance(refused, TooMany):
        return {"Retry-After": str(refused.retry_after)}
    return {"WWW-Authenticate": 'Bearer realm="arbe"'} if refused.status == 401 else {}


def _say(status: int, code: str, detail: str, headers: Mapping[str, str]) -> Response:
    REFUSALS.labels(code).inc()
    return Response({"code": code, "detail": detail}, status=status, headers=dict(headers))


def _code(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.ValidationError):
        return Invalid.code
    if str(error.detail).startswith("CSRF Failed"):
        return "csrf"
    code = str(getattr(error.detail, "code", error.default_code))
    return _CODES.get(code, code)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    told = getattr(error, "auth_header", None)
    return {"WWW-Authenticate": told} if told else {}


def _sentence(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.NotAuthenticated):
        return "Sign in, or send a token: Authorization: Bearer arbe_…"
    where, words = _first(error.detail)
    words = words if words.endswith((".", "!", "?")) else f"{words}."
    return f"{where}: {words[:1].lower()}{words[1:]}" if where else words


def _first(detail: Any, where: str = "") -> tuple[str, str]:
    """The first thing that is wrong, and the field it is wrong with; one sentence is enough to go on."""
    if isinstance(detail, Mapping):
        for name, below in detail.items():
            if below:  # a list of things has an empty entry for each that is fine
                general = name == "non_field_errors"
                return _first(below, where if general else f"{where}.{name}".lstrip("."))
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        for place, below in enumerate(detail):
            if below:
                return _first(below, where if isinstance(below, str) else f"{where}.{place}".lstrip("."))
    return where, str(detail)
