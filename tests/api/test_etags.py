"""What was read has a tag; whoever has it is not told again, and whoever changes it can say what they have seen."""

import threading

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from houses.giving import give
from houses.models import Secret, Token
from houses.scopes import NONE
from houses.tenancy import inside
from tests.api.conftest import Api, token_of


@pytest.fixture
def kitchen_at(kitchen) -> str:
    return f"environments/{kitchen['environment']}/"


@pytest.mark.parametrize("path", ["", "members/", "environments/", "threads/", "repositories/", "sandboxes/"])
def test_whoever_has_it_already_is_told_so(api, kitchen, path):
    first = api("GET", path)
    tag = first.headers["ETag"]
    for sent in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = api("GET", path, **{"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert api("GET", path, **{"If-None-Match": '"other"'}).content == first.content


def test_a_tag_changes_with_what_is_told(api, kitchen_at):
    before = api("GET", kitchen_at).headers["ETag"]
    assert api("GET", kitchen_at).headers["ETag"] == before
    api.ok("PUT", kitchen_at, {"name": "Galley"})
    assert api("GET", kitchen_at).headers["ETag"] != before
    assert api("GET", kitchen_at, **{"If-None-Match": before}).status_code == 200


def test_a_file_that_somebody_has_is_not_sent_again(api, kitchen):
    where = f"repositories/{kitchen['repository']}/files/a"
    oid = api.ok("PUT", where, b"1")["oid"]
    assert api("GET", where, **{"If-None-Match": f'"{oid}"'}).status_code == 304
    assert api("GET", where, **{"If-None-Match": '"other"'}).content == b"1"


def test_what_changed_since_is_not_changed_again(api, kitchen_at):
    seen = {"If-Match": api("GET", kitchen_at).headers["ETag"]}
    assert api("PUT", kitchen_at, {"name": "Galley"}, **seen).status_code == 200
    assert api.refused("PUT", kitchen_at, {"name": "Pantry"}, **seen) == (412, "precondition_failed")
    assert api.ok("GET", kitchen_at)["name"] == "Galley"


@pytest.mark.parametrize("sent", ["*", 'W/"{}"', '"other", "{}"'])
def test_if_match_takes_what_the_standard_says(api, kitchen_at, sent):
    tag = api("GET", kitchen_at).headers["ETag"].strip('"')
    assert api("PUT", kitchen_at, {"name": "Galley"}, **{"If-Match": sent.format(tag)}).status_code == 200


@pytest.mark.parametrize("sent", ["", "nonsense", '"unfinished', '"other"'])
def test_what_matches_nothing_changes_nothing(api, kitchen_at, sent):
    assert api.refused("PUT", kitchen_at, {"name": "x"}, **{"If-Match": sent}) == (412, "precondition_failed")


def test_a_thread_is_renamed_and_a_member_removed_as_they_were_seen(api, bo, oak, kitchen):
    for path, method, body in (
        (f"threads/{kitchen['thread']}/", "PATCH", {"name": "Stew"}),
        (f"members/{bo.pk}/", "PATCH", {"role": "owner"}),
    ):
        seen = {"If-Match": api("GET", path).headers["ETag"]}
        assert api(method, path, body, **seen).status_code == 200
        assert api.refused(method, path, body, **seen) == (412, "precondition_failed")
    path = f"members/{bo.pk}/"
    assert api.refused("DELETE", path, **{"If-Match": '"other"'}) == (412, "precondition_failed")
    assert api("DELETE", path, **{"If-Match": api("GET", path).headers["ETag"]}).status_code == 204


def test_there_is_nothing_to_compare_with_where_nothing_is(api, kitchen):
    path = "secrets/API_KEY/"
    assert api.refused("PUT", path, {"value": "x"}, **{"If-Match": "*"}) == (412, "precondition_failed")
    assert api.refused("PUT", f"threads/{kitchen['thread']}/pin/", **{"If-Match": "*"})[0] == 412
    assert api("PUT", path, {"value": "x"}, **{"If-None-Match": "*"}).status_code == 200
    assert api.refused("PUT", path, {"value": "y"}, **{"If-None-Match": "*"}) == (412, "precondition_failed")
    assert api("PUT", path, {"value": "y"}, **{"If-Match": "*"}).status_code == 200


def test_a_refused_change_leaves_nothing_behind(api, oak):
    api.refused("PUT", "secrets/API_KEY/", {"value": "x"}, **{"If-Match": '"other"'})
    with inside(oak):
        assert not Secret.objects.exists()


def test_of_two_who_saw_the_same_one_changes_it(committed, api, kitchen_at, oak):
    seen, start, said = {"If-Match": api("GET", kitchen_at).headers["ETag"]}, threading.Barrier(4), []

    def change(name):
        try:
            mine = Api(oak, api.headers["Authorization"].removeprefix("Bearer "))
            start.wait(10)
            said.append((mine("PUT", kitchen_at, {"name": name}, **seen).status_code, name))
        finally:
            connections.close_all()

    running = [threading.Thread(target=change, args=[name]) for name in ("a", "b", "c", "d")]
    for one in running:
        one.start()
    for one in running:
        one.join()
    (winner,) = [name for status, name in said if status == 200]
    assert sorted(status for status, _ in said) == [200, 412, 412, 412]
    assert api.ok("GET", kitchen_at)["name"] == winner


def test_answers_are_kept_by_nobody_on_the_way(api):
    assert api("GET", "").headers["Cache-Control"] == "private, no-cache"
    assert api("POST", "tokens/", {"name": "desk"}).headers["Cache-Control"] == "no-store"


def test_a_file_is_written_as_it_was_seen(api, kitchen):
    where, nothing = f"repositories/{kitchen['repository']}/files/a", {"If-None-Match": "*"}
    refused = (412, "precondition_failed")
    assert api.refused("PUT", where, b"1", **{"If-Match": "*"}) == refused
    first = api("PUT", where, b"1", **nothing).headers["ETag"]
    assert api.refused("PUT", where, b"2", **nothing) == refused
    assert api("PUT", where, b"2", **{"If-Match": f'"other", {first}'}).status_code == 200
    for method in ("PUT", "DELETE"):
        assert api.refused(method, where, b"3", **{"If-Match": first}) == refused
    assert api("GET", where).content == b"2"
    assert api("DELETE", where, **{"If-Match": "*"}).status_code == 200


def test_a_token_that_was_only_used_is_still_what_was_read(api):
    mine = api.ok("GET", "tokens/")["results"][0]["id"]
    tag = api("GET", f"tokens/{mine}/").headers["ETag"]
    with inside(api.house):
        Token.objects.filter(pk=mine).update(last_used_at=timezone.now())
    assert api("DELETE", f"tokens/{mine}/", **{"If-Match": tag}).status_code == 204


def test_whoever_may_not_read_it_compares_nothing(api, oak, ada, bo):
    guest = Api(oak, token_of(bo, oak))
    with inside(oak, ada):
        give(bo, oak, NONE, by=ada)
    for tag in ("*", '"other"', api("GET", f"members/{bo.pk}/").headers["ETag"]):
        assert guest.refused("DELETE", f"members/{ada.pk}/", **{"If-Match": tag}) == (404, "not_found")


def test_what_is_changed_as_it_was_seen_is_changed_by_nobody_else_meanwhile(api, kitchen_at):
    tag = api("GET", kitchen_at).headers["ETag"]
    with CaptureQueriesContext(connection) as captured:
        api("PUT", kitchen_at, {"name": "Galley"}, **{"If-Match": tag})
    assert any('FROM "environments"' in one["sql"] and "FOR NO KEY UPDATE" in one["sql"] for one in captured)
