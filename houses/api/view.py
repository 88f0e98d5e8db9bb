"""The view that every noun of a house starts from: it opens the house, and the verb does the work."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer, ValidationError
from rest_framework.views import APIView

from houses.agents import Agent
from houses.api.bodies import JSONText
from houses.api.conditional import tagged, unchanged
from houses.api.idempotent import once
from houses.api.limits import Count, counted
from houses.credentials import Token
from houses.membership import house_for
from houses.places import House
from houses.refusals import NotFound
from houses.rights import require
from houses.scopes import R
from houses.tenancy import as_agent, inside

Method = Callable[..., Any]


class Strict(Serializer[Any]):
    """Something sent to us: a field nobody knows is refused, for it was meant to do something."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(map(str, data)) - set(self.fields))):
            raise ValidationError({unknown[0]: f"There is no such field here; there is {', '.join(self.fields)}."})
        return super().to_internal_value(data)


class AgentView(APIView):
    """Something for whoever came in, in no particular house.

    Every method of every view is counted (`limits`), may be asked for once (`idempotent`), and reads and changes only
    what it is told to have changed (`conditional`).
    """

    parser_classes = (JSONText,)
    stays_inside = True  # False where the method opens the house itself, because it waits for something else meanwhile
    matches_itself = False  # True where the method knows better what `If-Match` names
    tag_without: tuple[str, ...] = ()  # what changes by itself and is no change of the thing
    row: tuple[type[Model], str, str] | None = None  # the thing at this address: its model, column, name in the address
    _count: Count | None = None

    def perform_authentication(self, request: Request) -> None:
        try:
            super().perform_authentication(request)
        finally:  # a credential that does not open is counted too
            self._count = counted(request)
            if self._count is not None:
                self._count.require()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if isinstance(request.user, Agent):
            self.enter(request)
            # Who asks is known only from here on, so this is where the method gets its walls.
            method = str(request.method).lower()
            work = once(self, unchanged(self, getattr(self, method, self.http_method_not_allowed)))
            setattr(self, method, self._indoors(work) if self.stays_inside else work)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Any:
        told = tagged(self, request, super().finalize_response(request, response, *args, **kwargs))
        for name, value in (self._count.headers if self._count else {}).items():
            told.headers[name] = value
        return told

    def enter(self, request: Request) -> None:
        """Find where the method is to work, before anything else is asked."""

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What the agent may see: here, which houses they are in."""
        with as_agent(self.agent):
            yield

    def require(self) -> None:
        """Ask whether the agent may come as far as this view, from inside."""

    def require_to_read(self) -> None:
        """Ask, from inside, whether the agent may come as far as this view's `get`."""

    def reachable(self, told: Any) -> None:
        """Ask, from inside, whether the agent may still see what was told of, before a kept answer is given again.

        For what everybody sees who comes as far as this view there is nothing to ask.
        """

    def _indoors(self, method: Method) -> Method:
        @wraps(method)
        def answer(*args: Any, **kwargs: Any) -> Any:
            with self.inside():
                self.require()
                return method(*args, **kwargs)

        return answer

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        if "CONTENT_LENGTH" not in request.META and "Transfer-Encoding" in request.headers:
            request.META["CONTENT_LENGTH"] = "-1"  # REST framework takes a body without a length for none
        return super().initialize_request(request, *args, **kwargs)

    @property
    def agent(self) -> Agent:
        assert isinstance(self.request.user, Agent)
        return self.request.user

    def sent(self, shape: type[BaseSerializer[Any]]) -> Any:
        """The body, if it has that shape."""
        return _checked(shape(data=self.request.data))

    def asked(self, shape: type[BaseSerializer[Any]]) -> Any:
        """The query, if it has that shape."""
        return _checked(shape(data=self.request.query_params.dict()))


class HouseView(AgentView):
    """Something in a house, for its members.

    The method runs in one transaction inside the house, and what it answers is serialised there. A refusal leaves that
    block as an exception, so that it rolls back by itself, before REST framework makes an answer of it; what verbs do
    on commit runs between the method and its answer.

    `needs` is the bit on the house that is asked for first, for all methods or by method (`{"post": W}`; the others
    take r). It is None where the method asks about a narrower scope: whoever reads one thread need not read the house.
    """

    house: House
    needs: str | Mapping[str, str | None] | None = R

    def enter(self, request: Request) -> None:
        self.house = self._house(request, self.kwargs["house"])
        if not self.stays_inside and self.needs_for(str(request.method).lower()):
            with self.inside():
                self.require()

    @contextmanager
    def inside(self) -> Iterator[None]:
        with inside(self.house, self.agent):
            yield

    def require(self) -> None:
        needed = self.needs_for(str(self.request.method).lower())
        if needed:
            require(self.agent, needed, self.house)

    def require_to_read(self) -> None:
        needed = self.needs_for("get")
        if needed:
            require(self.agent, needed, self.house)

    def needs_for(self, method: str) -> str | None:
        """The bit on the house that a method takes, by its name in small letters."""
        if not isinstance(self.needs, Mapping):
            return self.needs
        return self.needs.get("get" if method == "head" else method, R)

    def _house(self, request: Request, house_id: str) -> House:
        if not isinstance(request.auth, Token):
            return house_for(house_id, self.agent)
        if request.auth.house_id != house_id:
            raise NotFound
        return request.auth.house  # whoever read the token has seen that its agent is in the house


def answer(shape: type[BaseSerializer[Any]], what: Any, status: int = 200) -> Response:
    """One thing, in its shape."""
    return Response(shape(what).data, status=status)


def _checked(serializer: BaseSerializer[Any]) -> Any:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
