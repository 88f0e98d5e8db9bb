"""Every no is a sentence with a code, and leaves nothing behind."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.hands import Hand, Workshop
from tests.acceptance.system import System, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def shop(ada: Hand) -> Workshop:
    """A repository with a source and one file made of it; little may be printed in its environment."""
    shop = ada.workshop("bad-input", limits={"output_mb": 1})
    shop.write("seed.txt", b"one\n")
    assert shop.run("cat seed.txt > made.txt")["status"] == "completed"
    return shop


def assert_refused(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert answer.status_code == status, answer.text[:2000]
    said = answer.json()
    assert set(said) == {"code", "detail"} and said["code"] == code, said
    assert said["detail"].endswith((".", "…", "`")) and len(said["detail"].split()) > 3
    assert all(word in said["detail"] for word in words), said


def everything(shop: Workshop) -> dict[str, Any]:
    """What a refused request could have left behind."""
    hand = shop.hand
    return {
        "events": [event["seq"] for event in shop.events()],
        "head": shop.head(),
        "threads": [one["id"] for one in hand.get("threads/", limit=200)["results"]],
        "commands": [one["id"] for one in hand.get(f"threads/{shop.thread}/commands/", limit=200)["results"]],
        "derivations": hand.get(f"repositories/{shop.repository}/derivations/", limit=200),
        "repositories": hand.get("repositories/"),
        "environments": hand.get("environments/"),
        "sandboxes": [one["id"] for one in hand.get("sandboxes/", limit=200)["results"]],
    }


@contextmanager
def nothing_left_behind(*shops: Workshop) -> Iterator[None]:
    before = [everything(shop) for shop in shops]
    yield
    assert [everything(shop) for shop in shops] == before


def test_what_is_next_door_is_not_there(shop: Workshop, cy: Hand):
    own = cy.workshop("elms-own")
    oak, theirs = shop.hand.house, f"threads/{shop.thread}"
    with nothing_left_behind(shop, own):
        for path in (f"{theirs}/", f"repositories/{shop.repository}/", f"environments/{shop.environment}/"):
            assert_refused(cy.ask("GET", path), 404, "not_found")
            assert_refused(cy.http.get(f"/api/houses/{oak}/{path}"), 404, "not_found")
        run = {"text": "echo mine"}
        assert_refused(cy.ask("POST", f"{theirs}/commands/", json=run), 404, "not_found")
        assert_refused(cy.ask("POST", f"{theirs}/messages/", json={"text": "hello"}), 404, "not_found")
        run |= {"environment": shop.environment}
        assert_refused(cy.ask("POST", f"threads/{own.thread}/commands/", json=run), 404, "not_found")
        open_there = {"name": "x", "environment": shop.environment}
        assert_refused(cy.ask("POST", "threads/", json=open_there), 404, "not_found")
        assert_refused(cy.ask("POST", "threads/", json={"parent": shop.thread}), 404, "not_found")
        with_theirs = {"name": "x", "config": {"repository": shop.repository}}
        assert_refused(cy.ask("POST", "environments/", json=with_theirs), 400, "invalid", "of this house")
        assert cy.http.get(f"/v1/stream/{oak}/{shop.stream}").status_code == 404
        assert cy.http.get(f"/v1/stream/{cy.house}/{shop.stream}").status_code == 404


def test_without_an_environment_nothing_runs(system: System, cy: Hand):
    bare = cy.person.at_work(cy.person.found("Bare"))
    thread = bare.post("threads/", name="no machine here")
    shop = Workshop(bare, "", "", thread["id"], thread["stream"])
    until(shop.events)
    told = shop.events()
    for path, body in (("commands", {"text": "echo hello"}), ("makes", {"target": "made.txt"})):
        refusal = bare.ask("POST", f"threads/{shop.thread}/{path}/", json=body)
        assert_refused(refusal, 409, "no_environment", "Settings → Environments")
    assert shop.events() == told
    assert bare.get(f"threads/{shop.thread}/commands/")["results"] == []
    assert bare.get("sandboxes/")["results"] == []


def test_a_missing_required_secret_is_refused_before_anything_starts(shop: Workshop):
    bound = {"name": "API_KEY", "required": True}
    environment = shop.hand.post(
        "environments/", name="Keyed", config={"repository": shop.repository}, secret_bindings=[bound]
    )["id"]
    with nothing_left_behind(shop):
        refusal = shop.hand.ask(
            "POST", f"threads/{shop.thread}/commands/", json={"text": "echo $API_KEY", "environment": environment}
        )
        assert_refused(refusal, 409, "missing_secret", "API_KEY", "Settings → Secrets")


def test_a_target_that_nobody_made_cannot_be_made(shop: Workshop):
    with nothing_left_behind(shop):
        for target, word in (("nothing.txt", "yet"), ("seed.txt", "source")):
            refusal = shop.hand.ask("POST", f"threads/{shop.thread}/makes/", json={"target": target})
            assert_refused(refusal, 404, "unknown_target", f"`{target}`", word)
            refusal = shop.hand.ask("GET", f"threads/{shop.thread}/plan/", params={"target": target})
            assert_refused(refusal, 404, "unknown_target", f"`{target}`", word)


@pytest.mark.parametrize(
    "path", ["..%2Fx", "a%2F..%2F..%2Fx", "%2Fetc%2Fpasswd", ".git%2Fconfig", "a%2F.GIT%2Fx", "%00"]
)
def test_a_path_outside_the_repository_is_refused(shop: Workshop, path: str):
    with nothing_left_behind(shop):
        address = f"repositories/{shop.repository}/files/{path}"
        assert_refused(shop.hand.ask("PUT", address, content=b"x"), 400, "path_outside_repository", "inside the repo")
        for method in ("GET", "DELETE"):
            answer = shop.hand.ask(method, address)
            assert_refused(answer, answer.status_code, answer.json()["code"])
            assert answer.status_code in (400, 404)


def test_a_source_that_is_not_ones_own_is_not_imported(shop: Workshop, bo: Hand, system: System):
    with nothing_left_behind(shop):
        for source in (str(system.var), "/etc", "file:///etc", "relative/folder", "ftp://example.org/x.git"):
            refusal = bo.ask("POST", "repositories/", json={"name": "x", "source": source})
            assert_refused(refusal, 400, "cannot_import")


def test_binary_output_is_said_and_not_shown(shop: Workshop):
    def hidden() -> int:
        return sum(map(int, re.findall(r"\[binary output, (\d+) bytes, not shown\]", shop.output(command))))

    command = shop.begin("head -c 100000 /dev/urandom; until [ -e ~/told ]; do sleep 0.05; done; echo then text")
    until(lambda: hidden() > 99_990)  # the last few may be the beginning of a character
    assert shop.run("touch ~/told")["status"] == "completed"
    assert shop.rest("commands", command)["status"] == "completed"
    output = shop.output(command)
    assert output.endswith("then text\n") and len(output) < 2000


def test_a_file_of_a_hundred_megabytes_is_left_out_and_that_is_said(shop: Workshop):
    done = shop.run("head -c 104857600 /dev/zero > big.bin; echo small > small.txt")
    assert done["status"] == "completed"
    [finished] = [e["payload"] for e in shop.events("command_finished") if e["payload"]["command_id"] == done["id"]]
    [left] = finished["left_out"]
    assert (left["path"], left["bytes"]) == ("big.bin", 104857600) and "larger than" in left["reason"]
    assert [change["path"] for change in finished["changed"]] == ["small.txt"]
    missing = shop.hand.ask("GET", f"repositories/{shop.repository}/files/big.bin")
    assert_refused(missing, 404, "not_found", "big.bin")
    assert shop.read("small.txt") == b"small\n"
    refusal = shop.hand.ask("POST", f"threads/{shop.thread}/makes/", json={"target": "big.bin"})
    assert_refused(refusal, 404, "unknown_target")


def test_a_command_that_prints_without_end_is_ended_and_that_is_said(shop: Workshop):
    done = shop.run("yes arbe")
    assert done["status"] == "failed" and "limits.output_mb" in done["reason"]
    output = shop.output(done["id"])
    assert len(output) == 2**20 and output.startswith("arbe\narbe\n")
    [finished] = [e["payload"] for e in shop.events("command_finished") if e["payload"]["command_id"] == done["id"]]
    assert finished["reason"] == done["reason"]


def test_output_that_is_not_utf8_is_shown_as_far_as_it_is_text(shop: Workshop):
    done = shop.run(r"printf 'caf\351 \377 ok\n'")
    assert shop.output(done["id"]) == "caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER} ok\n"


def test_a_body_that_is_not_utf8_is_refused(shop: Workshop):
    headers = {"Content-Type": "application/json"}
    with nothing_left_behind(shop):
        for body in (b'{"text": "caf\xe9"}', b'{"text": "\\ud800"}', b'{"text": "nul \\u0000"}', b"{", b"\xff\xfe"):
            path = f"threads/{shop.thread}/messages/"
            assert_refused(shop.hand.ask("POST", path, content=body, headers=headers), 400, "invalid")


def test_a_message_of_ten_megabytes_is_too_large(shop: Workshop):
    ten = "x" * 10_000_000
    with nothing_left_behind(shop):
        for text in (ten, ten[:300_000]):
            refusal = shop.hand.ask("POST", f"threads/{shop.thread}/messages/", json={"text": text})
            assert_refused(refusal, 413, "too_large")
        refusal = shop.hand.ask("POST", f"threads/{shop.thread}/commands/", json={"text": ten})
        assert_refused(refusal, 413, "too_large")
        event = {"type": "message", "payload": {"text": ten}}
        refusal = shop.hand.http.post(f"/v1/stream/{shop.hand.house}/{shop.stream}", json=event)
        assert_refused(refusal, 413, "too_large")


def test_an_expired_token_opens_nothing(shop: Workshop):
    expires = datetime.now(UTC) + timedelta(seconds=2)
    late = shop.hand.person.at_work(shop.hand.house, expires_at=expires.isoformat())
    assert late.get(f"threads/{shop.thread}/")["id"] == shop.thread
    time.sleep(max(0, (expires - datetime.now(UTC)).total_seconds()) + 0.1)
    with nothing_left_behind(shop):
        for method, path in (("GET", f"threads/{shop.thread}/"), ("POST", f"threads/{shop.thread}/messages/")):
            assert_refused(late.ask(method, path, json={"text": "too late"}), 401, "expired_token", "make another")
        assert_refused(late.http.get(f"/v1/stream/{late.house}/{shop.stream}"), 401, "expired_token")
        with shop.held_by(late).watch() as watcher:
            until(lambda: watcher.socket.close_code is not None)
            assert (watcher.socket.close_code, watcher.events) == (4404, [])
