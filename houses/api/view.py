"""The view that every noun of a house starts from: it opens the house, and the verb does the work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer, ValidationError
from rest_framework.views import APIView

from houses.agents import Agent
from houses.api.bodies import JSONText
from houses.credentials import Token
from houses.membership import house_for
from houses.places import House
from houses.refusals import NotFound
from houses.tenancy import inside

Method = Callable[..., Any]


class Strict(Serializer[Any]):
    """Something sent to us: a field nobody knows is refused, for it was meant to do something."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(map(str, data)) - set(self.fields))):
            raise ValidationError({unknown[0]: f"There is no such field here; there is {', '.join(self.fields)}."})
        return super().to_internal_value(data)


class AgentView(APIView):
    """Something for whoever came in, in no particular house."""

    parser_classes = (JSONText,)

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
    """

    house: House
    stays_inside = True  # False where the method opens the house itself, because it waits for something else meanwhile

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.house = self._house(request, kwargs["house"])
        if self.stays_inside:
            # Who asks is known only from here on, so this is where the method gets its walls.
            method = str(request.method).lower()
            setattr(self, method, self._indoors(getattr(self, method, self.http_method_not_allowed)))

    def _house(self, request: Request, house_id: str) -> House:
        if not isinstance(request.auth, Token):
            return house_for(house_id, self.agent)
        if request.auth.house_id != house_id:
            raise NotFound
        return request.auth.house  # whoever read the token has seen that its agent is in the house

    @contextmanager
    def inside(self) -> Iterator[None]:
        with inside(self.house, self.agent):
            yield

    def _indoors(self, method: Method) -> Method:
        @wraps(method)
        def answer(*args: Any, **kwargs: Any) -> Any:
            with self.inside():
                return method(*args, **kwargs)

        return answer


def answer(shape: type[BaseSerializer[Any]], what: Any, status: int = 200) -> Response:
    """One thing, in its shape."""
    return Response(shape(what).data, status=status)


def answers(shape: type[BaseSerializer[Any]], what: Any) -> Response:
    """Several things, in their shape."""
    return Response([shape(one).data for one in what])


def _checked(serializer: BaseSerializer[Any]) -> Any:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
