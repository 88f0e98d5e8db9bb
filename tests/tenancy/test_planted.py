"""The suite itself: what it would say of a hole. Each of these is made in front of it, and has to be found."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from arbe.urls import urlpatterns as real
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.indoors import in_house
from tests.houses.furniture import sql
from tests.tenancy import places
from tests.tenancy.attack import attack
from threads.models import Thread


class Told(serializers.Serializer[Any]):
    """A thread."""

    name = serializers.CharField()


class Asked(Strict):
    """A thread by its id."""

    thread = serializers.CharField()


class Guessed(Strict):
    """Something else."""

    whatsit = serializers.CharField()


class TellsNotYours(HouseView):
    @operation("tells_not_yours", "planted", gives=Told)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """A thread, or in other words why not: it looks past the wall."""
        if not Thread.objects.filter(pk=thread).exists() and Elsewhere.has(thread):
            return Response({"code": "forbidden", "detail": "That is somebody else's."}, status=403)
        return Response({"code": "not_found", "detail": "There is no such thread."}, status=404)


class TakesNotYours(HouseView):
    @operation("takes_not_yours", "planted", takes=Asked, gives=Told)
    def post(self, request: Request, house: str) -> Response:
        """A thread of whatever house, by an id in the body."""
        name = Elsewhere.name(self.sent(Asked)["thread"])
        return answer(Told, {"name": name}) if name else Response({"code": "not_found", "detail": "No."}, status=404)


class AsksOnceMore(HouseView):
    @operation("asks_once_more", "planted", gives=Told)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """Says the same, and looks once more where there is something."""
        if Elsewhere.has(thread):
            Thread.objects.count()
        return Response({"code": "not_found", "detail": "There is no such thread."}, status=404)


class LeavesSomething(HouseView):
    @operation("leaves_something", "planted", gives=Told)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """Refuses, and has done it already."""
        Thread.objects.update(name="changed")
        return Response({"code": "not_found", "detail": "There is no such thread."}, status=404)


class TakesAnything(HouseView):
    @operation("takes_anything", "planted", takes=Guessed, gives=Told)
    def post(self, request: Request, house: str) -> Response:
        """Who knows what that is?"""
        self.sent(Guessed)
        return answer(Told, {"name": "x"})


@in_house
def shows_not_yours(request: HttpRequest, house: Any) -> HttpResponse:
    return JsonResponse({"name": Elsewhere.name(request.POST.get("thread", ""))})


class Elsewhere:
    """What somebody who forgot the wall would have: every thread's name, whosever it is."""

    names: dict[str, str] = {}

    @classmethod
    def has(cls, thread: str) -> bool:
        return thread in cls.names

    @classmethod
    def name(cls, thread: str) -> str | None:
        return cls.names.get(thread)


HOUSE = "api/houses/<slug:house>/planted/"
urlpatterns = [
    path(HOUSE + "tells/<slug:thread>/", TellsNotYours.as_view()),
    path(HOUSE + "takes/", TakesNotYours.as_view()),
    path(HOUSE + "asks/<slug:thread>/", AsksOnceMore.as_view()),
    path(HOUSE + "leaves/<slug:thread>/", LeavesSomething.as_view()),
    path(HOUSE + "anything/", TakesAnything.as_view()),
    path("houses/<str:house_id>/planted/", shows_not_yours),
    *real,
]


@pytest.fixture
def planted(world):
    Elsewhere.names = {world.there["thread"][0]: "Elm's own"}
    with override_settings(ROOT_URLCONF=__name__):
        yield world
    Elsewhere.names = {}


def holes(world, word: str) -> str:
    found = [*places.api(__name__), *places.pages(__name__)]
    (operation,) = [one for one in found if word in one.path and (one.method == "post" or "/api/" in one.path)]
    return "\n".join(attack(world, operation, "an owner"))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("planted/tells", "not yours is 403"),
        ("planted/takes", "not yours is 200"),
        ("planted/asks", "queries, not there"),
        ("planted/leaves", "was refused and left"),
        ("planted/anything", "nobody knows whether that is an id"),
        ("house_id}/planted/", "not yours is 200"),
    ],
)
def test_a_hole_is_found(planted, word, sentence):
    assert sentence in holes(planted, word)


def test_a_table_without_a_policy_is_found(committed, running, oak, elm, ada, cy):
    """The same question that the walls are asked with, on a table whose policy was taken away for a moment."""
    import psycopg

    from tests.houses.furniture import furnish

    furnish(oak, ada)
    furnish(elm, cy)
    assert sql("SELECT count(*) FROM resources") == [(0,)]
    with psycopg.connect(running.urls.owner, autocommit=True) as owner:
        owner.execute("ALTER TABLE resources DISABLE ROW LEVEL SECURITY")
        try:
            assert sql("SELECT count(*) FROM resources") == [(2,)]
        finally:
            owner.execute("ALTER TABLE resources ENABLE ROW LEVEL SECURITY")
