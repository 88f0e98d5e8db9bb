"""A POST with an Idempotency-Key is done once, whatever happens to its answer."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test import Client

from houses import idempotency
from houses.giving import give
from houses.models import House, KeptAnswer, Member, Token
from houses.scopes import NONE
from houses.tenancy import as_agent, inside
from tests.api.conftest import Api, token_of
from threads.models import Thread

KEY = {"Idempotency-Key": "the first of May"}


def names(oak) -> list[str]:
    with inside(oak):
        return list(Thread.objects.order_by("name").values_list("name", flat=True))


def kept(agent) -> int:
    with as_agent(agent):
        return KeptAnswer.objects.count()


def test_saying_it_again_answers_the_same_and_does_nothing(api, oak):
    first = api("POST", "threads/", {"name": "Soup"}, **KEY)
    again = api("POST", "threads/", {"name": "Soup"}, **KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content and names(oak) == ["Soup"]
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers


def test_without_a_key_it_is_another_request(api, oak):
    for _ in range(2):
        api.ok("POST", "threads/", {"name": "Soup"}, 201)
    assert names(oak) == ["Soup", "Soup"]


@pytest.mark.parametrize("other", [("threads/", {"name": "Stew"}), ("environments/", {"name": "Soup"})])
def test_a_key_for_something_else_is_a_422(api, oak, other):
    api("POST", "threads/", {"name": "Soup"}, **KEY)
    assert api.refused("POST", *other, **KEY) == (422, "idempotency_key_reused")
    assert names(oak) == ["Soup"]


def test_two_agents_may_have_the_same_key(api, bo, oak):
    other = Api(oak, token_of(bo, oak))
    ids = {one("POST", "threads/", {"name": "Soup"}, **KEY).json()["id"] for one in (api, other)}
    assert len(ids) == 2


def test_the_house_is_a_part_of_what_was_asked(client_of, ada, oak):
    ash, client = House.objects.found("Ash", by=ada), client_of(ada)
    said = [
        client.post(f"/api/houses/{house.pk}/threads/", {"name": "x"}, "application/json", headers=KEY)
        for house in (oak, ash)
    ]
    assert [one.status_code for one in said] == [201, 422]


def test_what_is_in_no_house_is_done_once_too(client_of, ada):
    client = client_of(ada)
    said = [client.post("/api/houses/", {"name": "Ash"}, "application/json", headers=KEY) for _ in range(2)]
    assert said[0].content == said[1].content and said[0].status_code == 201
    with as_agent(ada):
        assert House.objects.filter(name="Ash").count() == 1


def test_a_text_that_is_shown_once_is_shown_again_to_whoever_missed_it_and_kept_sealed(api, ada):
    first, again = (api("POST", "tokens/", {"name": "desk"}, **KEY).json() for _ in range(2))
    assert first["text"] == again["text"]
    with as_agent(ada):
        box = bytes(KeptAnswer.objects.get().box)
    assert first["text"].encode() not in box and b"desk" not in box


def test_a_weaker_token_of_the_same_agent_is_not_told_what_a_stronger_one_was(api, ada, oak):
    api("POST", "tokens/", {"name": "desk"}, **KEY)
    weak = Api(oak, token_of(ada, oak))
    with inside(oak):
        Token.objects.filter(pk=_pk(weak, oak)).update(bits="r")
    assert weak("POST", "tokens/", {"name": "desk"}, **KEY).status_code in (403, 422)


def _pk(api, oak) -> str:
    return Token.objects.read(api.headers["Authorization"].removeprefix("Bearer ")).pk


def test_another_credential_of_the_same_agent_is_told_nothing(api, ada, oak):
    first = api.ok("POST", "threads/", {"name": "Soup"}, 201, **KEY)
    other = Api(oak, token_of(ada, oak))
    assert other.refused("POST", "threads/", {"name": "Soup"}, **KEY) == (422, "idempotency_key_reused")
    assert api("POST", "threads/", {"name": "Soup"}, **KEY).json() == first


def test_whoever_lost_the_right_is_told_nothing_again(api, ada, bo, oak):
    """Not on the thread, and not of a bot's token."""
    mine = Api(oak, token_of(bo, oak))
    pip = api.ok("POST", "members/", {"kind": "bot", "name": "Pip", "runtime": "pi"}, 201)
    with inside(oak, ada):
        give(bo, oak, "rwx", by=ada)
    thread = api.ok("POST", "threads/", {"name": "Soup"}, 201)["id"]
    asked = [
        ("threads/", {"name": "Stew"}),
        (f"threads/{thread}/messages/", {"text": "hi"}),
        ("tokens/", {"agent": pip["agent"]["id"]}),
        ("tools/", {"name": "peel", "kind": "mcp", "config": {"url": "https://peel.example/"}}),
    ]
    for number, (path, body) in enumerate(asked):
        assert mine("POST", path, body, **{"Idempotency-Key": str(number)}).status_code == 201, path
    with inside(oak, ada):
        give(bo, oak, NONE, by=ada)
    for number, (path, body) in enumerate(asked):
        said = mine("POST", path, body, **{"Idempotency-Key": str(number)})
        assert (said.status_code, "Idempotent-Replayed" in said.headers) == (404, False), path


def test_a_token_that_was_revoked_is_not_shown_again(api):
    minted = api.ok("POST", "tokens/", {"name": "desk"}, 201, **KEY)
    api.ok("DELETE", f"tokens/{minted['id']}/", status=204)
    assert api.refused("POST", "tokens/", {"name": "desk"}, **KEY) == (404, "not_found")


def test_work_that_ends_its_connection_lets_go_of_its_key(committed, ada):
    for _ in range(2):
        with idempotency.OneAtATime(ada.pk, "key"):
            connection.close()


def test_a_refusal_is_not_kept(api, ada, oak):
    assert api.refused("POST", "threads/", {"nmae": "Soup"}, **KEY) == (400, "invalid")
    assert kept(ada) == 0
    assert api("POST", "threads/", {"name": "Soup"}, **KEY).status_code == 201


def test_a_bug_leaves_neither_the_work_nor_the_key(api, ada, oak, monkeypatch):
    def opened_and_broken(self, *args, **kwargs):
        Thread.objects.create(house=oak, name="half")
        raise RuntimeError("as if the process had died")

    with monkeypatch.context() as broken:
        broken.setattr(type(Thread.objects), "open_in", opened_and_broken)
        api.client.raise_request_exception = False
        assert api("POST", "threads/", {"name": "Soup"}, **KEY).status_code == 500
    assert names(oak) == [] and kept(ada) == 0
    assert api("POST", "threads/", {"name": "Soup"}, **KEY).status_code == 201


def test_what_opens_the_house_itself_is_done_once_too(api, ada):
    made = [api("POST", "repositories/", {"name": "notes"}, **KEY) for _ in range(2)]
    assert made[0].content == made[1].content and made[1].headers["Idempotent-Replayed"] == "true"
    assert api.refused("POST", "repositories/", {"name": "other"}, **KEY) == (422, "idempotency_key_reused")
    assert api("POST", "repositories/", {"name": "notes"}).status_code == 409
    assert api("POST", "repositories/", {"name": "notes"}, **{"Idempotency-Key": "two"}).status_code == 409
    assert kept(ada) == 1


def test_whoever_left_the_house_is_told_nothing_again(bo, oak):
    api = Api(oak, token_of(bo, oak))
    client = Client()
    client.force_login(bo)
    where = f"/api/houses/{oak.pk}/threads/"
    said = [client.post(where, {"name": "Soup"}, "application/json", headers=KEY)]
    with inside(oak, bo):
        Member.objects.get(agent=bo).leave(by=bo)
    said.append(client.post(where, {"name": "Soup"}, "application/json", headers=KEY))
    assert [one.status_code for one in said] == [201, 404] and "Idempotent-Replayed" not in said[1].headers
    assert api("POST", "threads/", {"name": "Soup"}, **KEY).status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x7fb", "ключ"])
def test_a_key_is_short_and_printable(api, key):
    assert api.refused("POST", "threads/", {"name": "Soup"}, **{"Idempotency-Key": key}) == (400, "invalid")


def test_a_form_is_not_a_body(client_of, ada):
    said = client_of(ada).post("/api/houses/", {"name": "Ash"}, headers=KEY)
    assert (said.status_code, said.json()["code"]) == (415, "unsupported_media_type")


def test_after_a_day_a_key_is_free_again_and_the_answer_is_forgotten(api, ada, oak):
    api("POST", "threads/", {"name": "Soup"}, **KEY)
    api("POST", "threads/", {"name": "Stew"}, **{"Idempotency-Key": "another"})
    with as_agent(ada):
        one = KeptAnswer.objects.get(key=KEY["Idempotency-Key"])
        KeptAnswer.objects.filter(pk=one.pk).update(asked_at=one.asked_at - timedelta(hours=24))
    assert "Idempotent-Replayed" not in api("POST", "threads/", {"name": "Bread"}, **KEY).headers
    with as_agent(ada):
        KeptAnswer.objects.filter(key="another").update(asked_at=one.asked_at - timedelta(hours=24))
    idempotency.sweep()
    with as_agent(ada):
        assert list(KeptAnswer.objects.values_list("key", flat=True)) == [KEY["Idempotency-Key"]]
    assert names(oak) == ["Bread", "Soup", "Stew"]


def test_nobody_sees_what_somebody_else_was_answered(api, ada, bo, oak):
    api("POST", "threads/", {"name": "Soup"}, **KEY)
    assert kept(ada) == 1 and kept(bo) == 0
    assert KeptAnswer.objects.count() == 0
    with inside(oak):
        assert KeptAnswer.objects.count() == 0


def test_of_two_at_the_same_time_one_works_and_the_other_is_told_the_same(committed, api, oak):
    start, said = threading.Barrier(4), []

    def ask():
        try:
            client = Api(oak, api.headers["Authorization"].removeprefix("Bearer "))
            start.wait(10)
            said.append(client("POST", "threads/", {"name": "Soup"}, **KEY))
        finally:
            connections.close_all()

    together(*[ask] * 4)
    assert {one.status_code for one in said} == {201}
    assert len({one.content for one in said}) == 1 and names(oak) == ["Soup"]
    assert sum("Idempotent-Replayed" not in one.headers for one in said) == 1


def test_whoever_would_wait_too_long_is_told_so(committed, api, ada, oak, monkeypatch):
    monkeypatch.setattr(idempotency, "PATIENCE", "50ms")
    said = []

    def ask():
        try:
            said.append(Api(oak, api.headers["Authorization"][7:]).refused("POST", "threads/", {"name": "x"}, **KEY))
        finally:
            connections.close_all()

    with inside(oak, ada):
        assert KeptAnswer.objects.claim(ada.pk, KEY["Idempotency-Key"], "something that takes long") is None
        together(ask)
    assert said == [(409, "idempotency_key_in_use")]


def test_what_opens_the_house_itself_holds_its_key_meanwhile(committed, api, ada, oak):
    said = []

    def ask():
        try:
            mine = Api(oak, api.headers["Authorization"][7:])
            said.append(mine.refused("POST", "repositories/", {"name": "x"}, **KEY))
        finally:
            connections.close_all()

    with idempotency.OneAtATime(ada.pk, KEY["Idempotency-Key"]):
        together(ask)
    assert said == [(409, "idempotency_key_in_use")]
    assert api("POST", "repositories/", {"name": "x"}, **KEY).status_code == 201
    assert connection.in_atomic_block is False


def together(*asked) -> None:
    running = [threading.Thread(target=one) for one in asked]
    for one in running:
        one.start()
    for one in running:
        one.join()
