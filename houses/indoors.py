"""What pages inside a house have in common: the door, which asks who may, and a word to the page that asked."""

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Concatenate, ParamSpec, overload
from urllib.parse import quote

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django_htmx.middleware import HtmxDetails

from houses.membership import house_for
from houses.models import Agent, House
from houses.refusals import Invalid, NotFound
from houses.rights import require
from houses.scopes import R
from houses.tenancy import inside

P = ParamSpec("P")
Page = Callable[..., HttpResponse]


def agent_of(request: HttpRequest) -> Agent:
    """Who asks; the page is for somebody who came in."""
    if not isinstance(request.user, Agent):
        raise NotFound
    return request.user


class PageRequest(HttpRequest):
    """A request as the middleware hands it on."""

    htmx: HtmxDetails


View = Callable[Concatenate[PageRequest, House, P], HttpResponse]


@overload
def in_house(view: View[P], /) -> Page: ...
@overload
def in_house(*, needs: str | None) -> Callable[[View[P]], Page]: ...
def in_house(view: View[P] | None = None, /, *, needs: str | None = R) -> Page | Callable[[View[P]], Page]:
    """A page inside a house, for its members. It renders before the house is left: `render`, never lazily.

    Whoever asks needs that bit on the house; None where the page asks about a narrower scope by itself.
    """

    def walled(view: View[P]) -> Page:
        def page(request: PageRequest, house: House, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            with inside(house, agent_of(request)):
                if needs:
                    require(agent_of(request), needs, house)
                return view(request, house, *args, **kwargs)

        update_wrapper(page, view)
        return of_house(needs=None)(page)

    return walled(view) if view else walled


@overload
def of_house(view: View[P], /) -> Page: ...
@overload
def of_house(*, needs: str | None) -> Callable[[View[P]], Page]: ...
def of_house(view: View[P] | None = None, /, *, needs: str | None = R) -> Page | Callable[[View[P]], Page]:
    """A page for the house's members that goes inside by itself, because it waits for something else meanwhile."""

    def met(view: View[P]) -> Page:
        @login_required
        @wraps(view)
        def page(request: PageRequest, house_id: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            _refuse_nul(request)
            house = house_for(house_id, agent_of(request))
            if needs:
                with inside(house, agent_of(request)):
                    require(agent_of(request), needs, house)
            return view(request, house, *args, **kwargs)

        return page

    return met(view) if view else met


def _refuse_nul(request: HttpRequest) -> None:
    """The database keeps every text but NUL; what people say is cleaned of it by its verb."""
    given = [
        value for name, values in (*request.GET.lists(), *request.POST.lists()) if name != "text" for value in values
    ]
    if any("\0" in value for value in (request.path, *given)):
        raise Invalid("An address and a name cannot have a NUL character in them.")


def told(response: HttpResponse, sentence: str) -> HttpResponse:
    """Let the page say something when htmx gets this answer. Headers are Latin-1, so the sentence is quoted."""
    response.headers["X-Told"] = quote(sentence)
    return response
