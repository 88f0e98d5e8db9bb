"""Invitations over the API, and how often a wrong token may be sent."""

import pytest

from houses.attempts import WRONG_TOKENS
from houses.models import Member
from houses.tenancy import inside
from tests.api.conftest import Api, token_of

pytestmark = pytest.mark.usefixtures("committed")


def test_an_invitation_is_made_listed_opened_and_taken_back(api, oak, cy, client_of):
    made = api.ok("POST", "invitations/", {"email": "cy@elm.example", "role": "owner"}, 201)
    assert made["invited_by"]["name"] == "Ada" and made["accepted_at"] is None
    (listed,) = api.ok("GET", "invitations/")["results"]
    assert "link" not in listed and listed["email"] == "cy@elm.example"
    path = made["link"].partition("//")[2].partition("/")[2]
    assert client_of(cy).post(f"/{path}").status_code == 302
    with inside(oak):
        assert Member.objects.of(cy).role == "owner"
    (listed,) = api.ok("GET", "invitations/")["results"]
    assert listed["accepted_by"]["name"] == "Cy" and api.ok("GET", "invitations/?waiting=true")["results"] == []
    other = api.ok("POST", "invitations/", {}, 201)
    api.ok("DELETE", f"invitations/{other['id']}/", status=204)
    assert client_of(cy).get(other["link"].removeprefix("http://127.0.0.1:8000")).status_code == 404


def test_members_see_and_make_none(oak, bo, api):
    mine = Api(oak, token_of(bo, oak))
    made = api.ok("POST", "invitations/", {}, 201)
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"{made['id']}/")):
        assert mine.refused(method, f"invitations/{path}", {})[0] == 403


def test_an_invitation_of_next_door_is_not_there(api, elm, cy):
    theirs = Api(elm, token_of(cy, elm)).ok("POST", "invitations/", {}, 201)
    assert api.refused("DELETE", f"invitations/{theirs['id']}/") == (404, "not_found")


@pytest.mark.parametrize("body", [{"email": "nobody"}, {"role": "king"}, {"who": "me"}])
def test_what_makes_no_invitation_is_refused(api, body):
    assert api.refused("POST", "invitations/", body) == (400, "invalid")


def test_adding_a_person_is_inviting_them(api, oak, cy):
    made = api.ok("POST", "members/", {"email": "CY@elm.example"}, 201)
    assert made["agent"] is None and made["sign_in_link"] is None and "/invitations/" in made["invitation_link"]
    assert len(api.ok("GET", "members/")["results"]) == 1


def test_too_many_wrong_tokens_are_told_to_wait_and_a_right_one_is_not(api, oak):
    wrong = Api(oak, f"arbe_{oak.pk}_wrong")
    for _ in range(WRONG_TOKENS):
        assert wrong("GET", "members/").status_code == 401
    answer = wrong("GET", "members/")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) == 300
    api.ok("GET", "members/")
