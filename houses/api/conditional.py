"""Reading only what changed, and changing only what was read: `ETag`, `If-None-Match` and `If-Match`.

What is sent as `If-Match` is compared with what the view's own `get` answers, in the transaction that makes the change.
Changes through the API at one address take turns, so that of two who read the same, one changes it and the other is
told. Where the view names its `row`, that row is locked while it is compared and changed, so that pages and jobs wait
too; elsewhere what they change in that moment is not noticed.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.http import HttpResponseBase, HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from houses.refusals import NotFound, Refused

if TYPE_CHECKING:
    from houses.api.view import AgentView

CHANGES = ("PUT", "PATCH", "DELETE")
Method = Callable[..., Any]


class PreconditionFailed(Refused):
    """It is not what the sender thinks it is."""

    code = "precondition_failed"
    status = 412


def unchanged(view: "AgentView", method: Method) -> Method:
    """The method, for a thing that is still what the sender has seen."""

    @wraps(method)
    def answer(request: Request, *args: Any, **kwargs: Any) -> Any:
        if request.method in CHANGES and not view.matches_itself:
            if hasattr(view, "get"):
                _take_turns(request)
            if "If-Match" in request.headers or "If-None-Match" in request.headers:
                _compare(view, request, args, kwargs)
        return method(request, *args, **kwargs)

    return answer


def tagged(view: "AgentView", request: Request, response: HttpResponseBase) -> HttpResponseBase:
    """What was read, with its tag; or that the reader has it already."""
    response.headers.setdefault("Cache-Control", "private, no-cache" if request.method == "GET" else "no-store")
    if request.method not in ("GET", "HEAD") or response.status_code != 200:
        return response
    if "ETag" not in response.headers and isinstance(response, Response):
        response.headers["ETag"] = _tag_of(view, response)
    tag = response.headers.get("ETag", "")
    if not tag or not _matches(tag, request.headers.get("If-None-Match", "")):
        return response
    kept = {name: response.headers[name] for name in ("ETag", "Vary", "Cache-Control") if name in response.headers}
    return HttpResponseNotModified(headers=kept)


def require_match(request: Request, tag: str | None) -> None:
    """Whether the request is about what has this tag now, which is None where nothing is."""
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match", "")
    if tag is None and wanted is not None:
        raise PreconditionFailed("There is nothing at this address to compare with; send it without If-Match.")
    if tag is not None and wanted is not None and not _matches(tag, wanted):
        raise PreconditionFailed("It changed since you read it; read it again, and decide again.")
    if tag is not None and unwanted and _matches(tag, unwanted):
        raise PreconditionFailed("It is there already; read it, and send it without If-None-Match.")


def _take_turns(request: Request) -> None:
    """Until the end of the transaction; where the view is in none, of this statement, which then does nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"address {request.path}"])


def _compare(view: "AgentView", request: Request, args: Any, kwargs: Any) -> None:
    """What may not be read is not compared either: the difference would tell of it."""
    view.require_to_read()
    tag = _tag_now(view, request, args, kwargs)
    if tag is not None and view.row is not None:
        model, column, name = view.row
        list(model._default_manager.select_for_update(no_key=True).filter(**{column: view.kwargs[name]}))
        tag = _tag_now(view, request, args, kwargs)
    require_match(request, tag)


def _tag_now(view: "AgentView", request: Request, args: Any, kwargs: Any) -> str | None:
    if not hasattr(view, "get"):
        return None
    try:
        told = type(view).get(view, request, *args, **kwargs)
    except NotFound:
        return None
    return _tag_of(view, told)


def _tag_of(view: "AgentView", told: Response) -> str:
    """A weak tag where something is left out of it: two answers with the same one may differ in that."""
    data, weak = told.data, ""
    if view.tag_without:
        data, weak = {name: value for name, value in data.items() if name not in view.tag_without}, "W/"
    return f'{weak}"{hashlib.sha256(JSONRenderer().render(data)).hexdigest()[:32]}"'


def _matches(tag: str, said: str) -> bool:
    return any(one == "*" or one.removeprefix("W/") == tag.removeprefix("W/") for one in parse_etags(said))
