"""Every address with a house in it, from the map of addresses itself: whoever lives next door finds nothing."""

import re
import uuid

from django.urls import get_resolver

from tests.api.conftest import Api, token_of

METHODS = ("get", "post", "put", "patch", "delete")


def addresses() -> list[tuple[str, str]]:
    """Each method of each API address, with placeholders for what is in it."""
    found = []
    for include in get_resolver("arbe.urls").url_patterns:
        for pattern in getattr(include, "url_patterns", []):
            view = getattr(pattern.callback, "view_class", None)
            if str(include.pattern) == "api/" and "<slug:house>" in str(pattern.pattern):
                found += [(method, str(pattern.pattern)) for method in METHODS if hasattr(view, method)]
    return found


ADDRESSES = addresses()


def test_the_map_of_addresses_was_read():
    assert len(ADDRESSES) > 50


def filled(address: str, house) -> str:
    address = address.replace("<slug:house>", house.pk).replace("<uuid:agent>", str(uuid.uuid4()))
    return "/api/" + re.sub(r"<\w+:\w+>", "abcdefghjkmn", address)


def test_nothing_is_there_for_whoever_lives_next_door(elm, oak, ada, client_of):
    ask, bearer = client_of(ada), {"Authorization": f"Bearer {token_of(ada, oak)}"}
    for method, address in ADDRESSES:
        path, nowhere = filled(address, elm), filled(address, oak).replace(oak.pk, "a" * 12)
        asked = [(path, {}), (nowhere, {}), (path, bearer), (nowhere, bearer)]
        said = [ask.generic(method.upper(), p, b"{}", "application/json", headers=h) for p, h in asked]
        assert {one.status_code for one in said} == {404}, (method, address)
        assert len({one.content for one in said}) == 1, (method, address)
        assert said[0].json()["code"] == "not_found"


def test_nobody_is_let_in_without_a_name(elm, client):
    for _, address in ADDRESSES:
        assert client.get(filled(address, elm)).status_code == 401, address


def test_what_is_next_door_cannot_be_reached_through_ones_own_house(kitchen, api, elm, cy):
    next_door = Api(elm, token_of(cy, elm))
    environment = next_door.ok("POST", "environments/", {"name": "Theirs"}, 201)
    thread = next_door.ok("POST", "threads/", {"name": "Theirs"}, 201)
    repository = environment["config"]["repository"]
    for path in (f"environments/{environment['id']}/", f"threads/{thread['id']}/", f"repositories/{repository}/"):
        assert api.refused("GET", path) == (404, "not_found")
    for body in ({"environment": environment["id"]}, {"parent": thread["id"]}):
        assert api.refused("POST", "threads/", body) == (404, "not_found")
    path = f"threads/{kitchen['thread']}/commands/"
    assert api.refused("POST", path, {"text": "x", "environment": environment["id"]}) == (404, "not_found")
    assert api.refused("POST", "tokens/", {"agent": str(cy.pk)}) == (404, "not_found")
    config = {"repository": repository}
    assert api.refused("POST", "environments/", {"name": "x", "config": config}) == (400, "invalid")
