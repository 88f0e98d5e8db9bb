import json
from datetime import timedelta

import pytest
from django.utils import timezone

from houses.models import Agent, SignInLink, Token
from houses.tenancy import inside
from tests.api.conftest import Api, token_of


def test_houses_are_founded_and_listed(client_of, ada, oak):
    client = client_of(ada)
    made = client.post("/api/houses/", {"name": "Ash"}, content_type="application/json")
    assert made.status_code == 201
    assert [house["name"] for house in client.get("/api/houses/").json()["results"]] == ["Ash", "Oak"]
    assert client.get(f"/api/houses/{oak.pk}/").json()["name"] == "Oak"


def test_a_token_lists_its_own_house_and_founds_none(api, ada, oak):
    from houses.models import House

    House.objects.found("Ash", by=ada)
    listed = api.client.get("/api/houses/", headers=api.headers).json()["results"]
    assert [house["name"] for house in listed] == ["Oak"]
    made = api.client.post("/api/houses/", {"name": "Fir"}, content_type="application/json", headers=api.headers)
    assert (made.status_code, made.json()["code"]) == (403, "forbidden")


def test_a_token_does_not_open_the_house_next_door_even_for_a_member_of_both(ada, oak):
    from houses.models import House

    ash = House.objects.found("Ash", by=ada)
    assert Api(oak, token_of(ada, oak)).refused("GET", "", house=ash) == (404, "not_found")


def test_a_new_person_gets_a_link_once(api, ada):
    type(ada).objects.filter(pk=ada.pk).update(is_operator=True)
    made = api.ok("POST", "members/", {"email": "di@oak.example", "name": "Di"}, 201)
    assert made["agent"]["name"] == "Di" and made["role"] == "member"
    secret = made["sign_in_link"].rstrip("/").rpartition("/")[2]
    assert SignInLink.objects.use(secret).email == "di@oak.example"
    assert "sign_in_link" not in api.ok("GET", "members/")["results"][-1]


def test_somebody_known_gets_no_link_made_for_them(api, ada, cy):
    type(ada).objects.filter(pk=ada.pk).update(is_operator=True)
    made = api.ok("POST", "members/", {"email": "CY@elm.example"}, 201)
    assert made["agent"] is None and made["sign_in_link"] is None and made["invitation_link"]


def test_a_bot_is_made_and_given_a_token(api, oak):
    bot = api.ok("POST", "members/", {"kind": "bot", "name": "Clerk", "runtime": "chat"}, 201)["agent"]
    minted = api.ok("POST", "tokens/", {"agent": bot["id"], "name": "desk"}, 201)
    assert Api(oak, minted["text"]).ok("GET", "")["name"] == "Oak"
    listed = api.ok("GET", "tokens/")["results"]
    assert listed[0]["name"] == "desk" and "text" not in listed[0]
    api.ok("DELETE", f"tokens/{minted['id']}/", status=204)
    assert Api(oak, minted["text"]).refused("GET", "") == (401, "bad_token")


def test_a_refused_admission_leaves_nobody_behind(bo, oak):
    assert Api(oak, token_of(bo, oak)).refused("POST", "members/", {"email": "di@oak.example"}) == (403, "forbidden")
    assert not Agent.objects.filter(email="di@oak.example").exists()


def test_roles_change_and_members_go(api, bo, oak):
    assert api.ok("PATCH", f"members/{bo.pk}/", {"role": "owner"})["role"] == "owner"
    api.ok("DELETE", f"members/{bo.pk}/", status=204)
    assert api.refused("DELETE", f"members/{bo.pk}/") == (404, "not_found")


def test_the_last_owner_stays(api, ada):
    assert api.refused("PATCH", f"members/{ada.pk}/", {"role": "member"}) == (403, "forbidden")


def test_secrets_are_written_and_never_read(api):
    api.ok("PUT", "secrets/API_KEY/", {"value": " sesame "})
    listed = api("GET", "secrets/")
    assert [secret["name"] for secret in listed.json()["results"]] == ["API_KEY"]
    assert b"sesame" not in listed.content
    api.ok("DELETE", "secrets/API_KEY/", status=204)
    assert api.refused("PUT", "secrets/lower/", {"value": "x"}) == (400, "invalid")


def test_nobody_gets_in_without_saying_who_they_are(oak):
    response = Api(oak, "")("GET", "")
    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("text", ["nonsense", "arbe_", "arbe_x_y", "arbe_\xe9_y", ""])
def test_a_bad_token_is_a_401(oak, text):
    api = Api(oak, "x")
    api.headers = {"Authorization": f"Bearer {text}"}
    assert api.refused("GET", "") == (401, "bad_token")


def test_an_expired_token_is_a_401(ada, oak):
    text = token_of(ada, oak)
    with inside(oak):
        Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Api(oak, text).refused("GET", "") == (401, "expired_token")


def test_a_token_cannot_be_made_for_the_past(api):
    assert api.refused("POST", "tokens/", {"expires_at": "2001-01-01T00:00:00Z"}) == (400, "invalid")


def test_a_session_needs_the_csrf_token_to_change_something(client_of, ada, oak):
    client = client_of(ada, enforce_csrf_checks=True)
    assert client.get(f"/api/houses/{oak.pk}/").status_code == 200
    refused = client.post("/api/houses/", json.dumps({"name": "Ash"}), content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf")


def test_somebody_deactivated_is_out(client_of, bo, oak):
    client, api = client_of(bo), Api(oak, token_of(bo, oak))
    Agent.objects.filter(pk=bo.pk).update(is_active=False)
    assert client.get(f"/api/houses/{oak.pk}/").status_code == 401
    assert api.refused("GET", "") == (401, "bad_token")
