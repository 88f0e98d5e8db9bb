"""Every address of threads, from the map of addresses itself: what a reader, a writer and a guest of another find."""

import json
import re

import pytest
from django.test import Client

from houses.giving import give
from houses.models import Agent, Member, Token
from houses.tenancy import inside
from threads import pages
from threads.api import urlpatterns as api_patterns
from threads.models import Answer, Command, Make, Thread, WaitingMessage

METHODS = ("get", "post", "put", "patch", "delete")
OF_ONE = re.compile(r"<\w+:(thread|thread_id|command_id|make_id)>")
BODIES = {
    "messages/": {"text": "hello"},
    "commands/": {"text": "true"},
    "makes/": {"target": "made.txt"},
    "tags/": ["hot"],
    "name/": {"name": "Another"},
    "links/": {"expires_in": 60},
    "tasks/": {"bot": "Pia", "text": "Count the pears"},
    "questions/": {"on": "Ada", "question": "Which pears?"},
    "<slug:message>/": {"text": "Count the plums"},
    "threads/<slug:thread>/stop/": {},
}
FORM = {"text": "hello", "name": "Another", "tags": "hot"}


def addresses():
    """Method and address of everything about one thread, and whether it is the API's."""
    found = []
    for pattern in pages.urlpatterns:
        if OF_ONE.search(str(pattern.pattern)):
            found += [(method, "/" + str(pattern.pattern), False) for method in ("get", "post")]
    for pattern in api_patterns:
        if OF_ONE.search(str(pattern.pattern)):
            view = pattern.callback.view_class
            found += [
                (m, "/api/" + str(pattern.pattern), True)
                for m in METHODS
                if m in view.http_method_names and hasattr(view, m)
            ]
    return found


ADDRESSES = addresses()
TOLD_OF_FILES = ("/plan/", "/tasks/")  # takes r on the house too


class Place:
    """A thread with everything in it, and how somebody asks for it."""

    def __init__(self, house, ada, environment):
        self.house, self.ada = house, ada
        with inside(house, ada):
            self.parent = Thread.objects.open_in(house, by=ada, name="Parent of it")
            self.thread = Thread.objects.open_in(house, by=ada, name="Soup", parent=self.parent)
            self.other = Thread.objects.open_in(house, by=ada, name="Salad")
            self.child = Thread.objects.open_in(house, by=ada, name="Secret stock", parent=self.thread)
            for one, tag in ((self.thread, "soup"), (self.other, "salad")):
                one.tag([tag], by=ada)
            self.command = self.thread.run("sleep 60", by=ada)
            rows = {"house": house, "thread": self.thread, "agent": ada, "target": "x"}
            self.make = Make.objects.create(repository=environment.repository, **rows)
            self.bot = Agent.objects.create_bot("Pia", "pi")
            Member.objects.create(house=house, agent=self.bot, role="member")
            here = {"house": house, "thread": self.thread, "text": "Count the pears"}
            recipe = {"runtime": "pi", "model": "m"}
            self.run = Command.objects.create(
                **here, agent=ada, bot=self.bot, recipe=recipe, environment=environment, status="running"
            )
            self.message = WaitingMessage.objects.create(**here, agent=ada)
            self.reply = Answer.objects.create(**here, agent=self.bot, asked_by=ada)

    def grant(self, agent, scope, bits):
        with inside(self.house, self.ada):
            give(agent, scope, bits, by=self.ada)

    def guest(self, agent, scope, bits):
        """Somebody of the house who may see that alone."""
        self.grant(agent, self.house, "none")
        self.grant(agent, scope, bits)

    def asked(self, agent, method, address, is_api, token=None):
        ids = {"thread": self.thread, "command": self.command, "make": self.make, "house": self.house}
        ids |= {"run": self.run, "message": self.message, "reply": self.reply}
        path = re.sub(r"<\w+:(\w+?)(_id)?>", lambda part: ids[part[1]].pk, address)
        client, headers = Client(), {}
        if token:
            headers = {"Authorization": f"Bearer {token}"}
        else:
            client.force_login(agent)
        if is_api:
            body = next((b for end, b in BODIES.items() if address.endswith(end)), {"name": "Another"})
            return client.generic(method.upper(), path, json.dumps(body), "application/json", headers=headers)
        return getattr(client, method)(path, FORM if method == "post" else {})

    def statuses(self, agent, token=None):
        """What each address answers, but for methods that it does not know."""
        every = {
            (method, address): self.asked(agent, method, address, is_api, token).status_code
            for method, address, is_api in ADDRESSES
            if is_api or not token
        }
        return {what: status for what, status in every.items() if status != 405}


@pytest.fixture
def place(told, oak, ada, environment, settings):
    settings.STREAMS_KEY = "signs links"
    return Place(oak, ada, environment)


def rest(statuses):
    return {what: status for what, status in statuses.items() if not what[1].endswith(TOLD_OF_FILES)}


def test_the_map_of_addresses_was_read():
    assert len([one for one in ADDRESSES if one[2]]) > 15 and len([one for one in ADDRESSES if not one[2]]) > 15


def test_for_strangers_and_guests_of_another_thread_nothing_is_there(place, bo, cy, elm):
    place.guest(bo, place.other, "rwx")
    for agent in (bo, cy):
        assert set(place.statuses(agent).values()) == {404}


def test_what_may_not_be_read_answers_like_what_is_not_there(place, bo):
    place.grant(bo, place.thread, "none")
    nowhere = Place.__new__(Place)
    nowhere.__dict__ |= place.__dict__ | {
        name: type(getattr(place, name))(pk="abcdefghjkmn")
        for name in ("thread", "command", "make", "run", "message", "reply")
    }
    for method, address, is_api in ADDRESSES:
        one, none = (here.asked(bo, method, address, is_api) for here in (place, nowhere))
        assert one.status_code == none.status_code and one.status_code in (404, 405), address
        if is_api:
            assert one.content == none.content, address


def test_a_reader_reads_everything_and_changes_nothing(place, bo):
    place.guest(bo, place.thread, "r")
    before = events(place)
    statuses = rest(place.statuses(bo))
    reading = {what for what in statuses if what[0] == "get"}
    reading |= {("post", address) for _, address in reading if not address.startswith("/api/")}  # a form that asks
    assert {statuses[what] for what in reading & statuses.keys()} == {200}
    assert {statuses[what] for what in statuses.keys() - reading} == {403}
    assert events(place) == before


def test_a_token_that_only_reads_changes_nothing(place, ada):
    with inside(place.house, ada):
        token, text = Token.objects.mint(ada, "for a test", by=ada)
        Token.objects.filter(pk=token.pk).update(bits="r")
    before = events(place)
    statuses = place.statuses(ada, text)
    assert {status for (method, address), status in statuses.items() if method == "get"} == {200}
    assert {status for (method, _), status in statuses.items() if method != "get"} == {403}
    assert events(place) == before


def test_a_writer_works_there_but_for_tools_they_may_not_use(place, bo):
    place.guest(bo, place.thread, "rw")
    refused = {what for what, status in rest(place.statuses(bo)).items() if status in (403, 404)}
    assert {(method, address.rpartition("<slug:thread>/")[2]) for method, address in refused} == {
        ("post", "commands/"),
        ("post", "makes/"),
        ("post", "questions/"),  # only a run asks, by its own token
        ("patch", "waiting-messages/<slug:message>/"),  # somebody else said it
        ("delete", "waiting-messages/<slug:message>/"),
    }


def test_a_guest_sees_their_thread_and_what_hangs_on_it_alone(place, bo):
    place.guest(bo, place.thread, "rw")
    place.grant(bo, place.child, "none")
    client = Client()
    client.force_login(bo)
    house = f"/houses/{place.house.pk}/"
    for address in (house, f"{house}threads/{place.thread.pk}/", f"{house}?find=s", f"{house}?tag=salad"):
        page = client.get(address)
        html = page.content.decode()
        assert page.status_code == 200 and "Soup" in html  # in the sidebar at least
        for hidden in ("Salad", "Secret stock", "Parent of it", place.other.pk, place.parent.pk):
            assert hidden not in html, (address, hidden)
        assert "?tag=soup" in html and (">salad<" not in html)
    api = f"/api/houses/{place.house.pk}/threads/"
    (told,) = client.get(api).json()["results"]
    assert (told["id"], told["parent"]) == (place.thread.pk, None)
    assert client.get(f"{api}{place.thread.pk}/").json()["children"] == []
    assert client.get(f"{api}?parent={place.parent.pk}").json()["results"] == [told]
    assert client.get(f"{api}{place.thread.pk}/plan/").status_code == 404
    completions = client.get(f"{house}threads/{place.thread.pk}/completions/")
    assert completions.json() == {"targets": [], "agents": []}
    for closed in ("files/", "made/", "settings/environments/"):
        assert client.get(house + closed).status_code == 404


def test_an_environment_is_named_by_whoever_may_read_the_house(place, bo, environment):
    from houses.models import Tool

    place.guest(bo, place.thread, "rw")
    place.grant(bo, Tool(pk="run_command"), "x")
    client = Client()
    client.force_login(bo)
    path = f"/api/houses/{place.house.pk}/threads/{place.thread.pk}/commands/"
    for named in (environment.pk, "abcdefghjkmn"):
        assert client.post(path, {"text": "true", "environment": named}, "application/json").status_code == 404
    assert client.post(path, {"text": "true"}, "application/json").status_code == 201
    with inside(place.house):
        assert Command.objects.filter(agent=bo).count() == 1


def events(place):
    from streams.models import Stream

    with inside(place.house):
        return sum(Stream.objects.values_list("announced", flat=True))
