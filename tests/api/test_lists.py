"""Lists come in pages that lose nothing and tell nothing twice, while things come and go."""

import base64
import json

import pytest

from houses.models import Member
from houses.tenancy import inside
from tests.api.conftest import Api, token_of


def cursor(*place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_on(api, path, limit=2, meanwhile=lambda number: None):
    """Everything of a list, page by page."""
    joint, found, following, number = "&" if "?" in path else "?", [], "", 0
    while following is not None:
        page = api.ok("GET", f"{path}{joint}limit={limit}" + (f"&cursor={following}" if following else ""))
        found, following, number = found + page["results"], page["next"], number + 1
        meanwhile(number)
    return found


@pytest.mark.parametrize("path", ["threads/", "environments/", "repositories/", "secrets/", "tokens/", "members/"])
def test_every_page_reads_on_where_the_last_one_ended(api, oak, ada, path):
    for number in range(5):
        api.ok("POST", "threads/", {"name": "same"}, 201)
        api.ok("POST", "environments/", {"name": f"Kitchen {number}"}, 201)
        api.ok("POST", "repositories/", {"name": f"notes-{number}"}, 201)
        api.ok("PUT", f"secrets/KEY_{number}/", {"value": "x"})
        api.ok("POST", "tokens/", {"name": "same"}, 201)
        api.ok("POST", "members/", {"kind": "bot", "name": f"Bot {number}", "runtime": "pi"}, 201)
    everything = api.ok("GET", f"{path}?limit=200")
    assert everything["next"] is None and len(everything["results"]) >= 5
    assert read_on(api, path) == everything["results"] == read_on(api, path, limit=1)


def test_what_comes_and_goes_meanwhile_moves_nothing_else(api):
    for number in range(6):
        api.ok("PUT", f"secrets/KEY_{number}/", {"value": "x"})

    def meanwhile(page):
        if page == 1:
            api.ok("PUT", "secrets/KEY_00/", {"value": "before where we are"})
            api.ok("PUT", "secrets/KEY_31/", {"value": "after it"})
            api.ok("DELETE", "secrets/KEY_1/", status=204)

    names = [one["name"] for one in read_on(api, "secrets/", meanwhile=meanwhile)]
    assert names == ["KEY_0", "KEY_1", "KEY_2", "KEY_3", "KEY_31", "KEY_4", "KEY_5"]


def test_members_are_found_by_kind_and_role(api, bo, scribe):
    def names(query):
        return [one["agent"]["name"] for one in api.ok("GET", f"members/?{query}")["results"]]

    assert names("") == ["Ada", "Bo", "Scribe"]
    assert (names("kind=bot"), names("role=owner"), names("kind=human&role=member")) == (["Scribe"], ["Ada"], ["Bo"])
    assert api.refused("GET", "members/?role=king") == (400, "invalid")


def test_tokens_are_found_by_agent_and_whether_they_live(api, scribe, ada):
    dead = api.ok("POST", "tokens/", {"name": "dead"}, 201)["id"]
    api.ok("DELETE", f"tokens/{dead}/", status=204)
    bots = api.ok("POST", "tokens/", {"agent": str(scribe.pk)}, 201)["id"]

    def ids(query):
        return {one["id"] for one in api.ok("GET", f"tokens/?{query}")["results"]}

    assert ids(f"agent={scribe.pk}") == {bots} and ids("live=no") == {dead}
    assert ids("live=yes") == ids("") - {dead}
    assert api.ok("GET", f"tokens/{bots}/")["agent"]["name"] == "Scribe"
    assert api.refused("GET", "tokens/?agent=me") == (400, "invalid")


def test_named_things_are_found_by_name(api):
    api.ok("POST", "environments/", {"name": "Kitchen"}, 201)
    api.ok("POST", "environments/", {"name": "Galley"}, 201)
    assert [one["name"] for one in api.ok("GET", "environments/?name=Galley")["results"]] == ["Galley"]
    assert len(api.ok("GET", "repositories/")["results"]) == 2
    assert api.ok("GET", "repositories/?name=none")["results"] == []


def test_one_member_is_read_as_the_list_tells_of_them(api, bo, ada, oak, cy):
    one = api.ok("GET", f"members/{bo.pk}/")
    assert one in api.ok("GET", "members/")["results"]
    assert api.refused("GET", f"members/{cy.pk}/") == (404, "not_found")


BROKEN = [
    "",
    "x",
    "é",
    "=" * 5,
    cursor(),
    cursor("2026-01-01T00:00:00Z"),
    cursor("2026-01-01T00:00:00Z", "abc", "def"),
    cursor("2026-01-01T00:00:00", "abc"),
    cursor("yesterday", "abc"),
    cursor("2024-01-01T00:00:00+24:00", "abc"),
    cursor("99999-01-01T00:00:00Z", "abc"),
    cursor("0000-01-01T00:00:00Z", "abc"),
    cursor(1, 2),
    cursor(None, "abc"),
    cursor(["2026-01-01T00:00:00Z"], "abc"),
    cursor("2026-01-01T00:00:00Z", "a\0b"),
    cursor("2026-01-01T00:00:00Z", "\ud800"),
    base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    base64.urlsafe_b64encode(b'{"a": 1}').decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_cursor_that_nobody_gave_is_refused(api, text):
    assert api.refused("GET", f"threads/?cursor={text}") == (400, "invalid")


def test_a_cursor_of_another_list_is_refused_or_finds_a_place_here(api):
    for number in range(3):
        api.ok("PUT", f"secrets/KEY_{number}/", {"value": "x"})
    following = api.ok("GET", "secrets/?limit=1")["next"]
    assert api.refused("GET", f"threads/?cursor={following}") == (400, "invalid")


def test_a_place_at_the_end_of_time_is_a_place(api):
    api.ok("POST", "threads/", {"name": "Soup"}, 201)
    late, early = cursor("9999-12-31T23:59:59Z", "a"), cursor("0001-01-01T00:00:00Z", "a")
    assert len(api.ok("GET", f"threads/?cursor={late}")["results"]) == 1
    assert api.ok("GET", f"threads/?cursor={early}")["results"] == []
    beyond = cursor("9999-12-31T23:59:59-12:00", "a"), cursor("0001-01-01T00:00:00+12:00", "a")
    assert {api.refused("GET", f"threads/?cursor={one}") for one in beyond} == {(400, "invalid")}


def test_a_place_is_a_time_wherever_its_clock_hangs(api):
    api.ok("POST", "threads/", {"name": "Soup"}, 201)
    for hangs in ("+23:59", "-23:59"):
        assert api.ok("GET", f"threads/?cursor={cursor('2024-01-01T00:00:00' + hangs, 'abc')}")["results"] == []


@pytest.mark.parametrize("number", ["9" * 30, "-" + "9" * 19, "1e3", "9" * 5000, "٣" * 40])
def test_a_number_that_no_row_has_is_no_place(api, number):
    assert api.refused("GET", f"mutations/?cursor={cursor(number, number)}") == (400, "invalid")


def test_a_page_costs_the_same_however_long_it_is(api, django_assert_max_num_queries):
    for number in range(6):
        api.ok("POST", "environments/", {"name": str(number)}, 201)
    with django_assert_max_num_queries(14):
        api.ok("GET", "environments/")


def test_whoever_is_in_two_houses_pages_through_both(client_of, ada, oak, elm, cy):
    with inside(elm, cy):
        Member.objects.create(house=elm, agent=ada, role="member")
    client = client_of(ada)
    first = client.get("/api/houses/?limit=1").json()
    second = client.get(f"/api/houses/?limit=1&cursor={first['next']}").json()
    assert [one["name"] for one in first["results"] + second["results"]] == ["Elm", "Oak"] and second["next"] is None
    assert [one["name"] for one in client.get("/api/houses/?name=Oak").json()["results"]] == ["Oak"]
    token = Api(oak, token_of(ada, oak))
    assert len(token.client.get("/api/houses/", headers=token.headers).json()["results"]) == 1
