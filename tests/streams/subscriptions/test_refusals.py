"""What subscriptions refuse: to whom, with which code and sentence."""

import json

import pytest

from tests.streams.subscriptions.asking import JSON, acked, code, hook, of, pull, say, until, verb

GOOD = {"type": "pull-wake", "pattern": "a/*", "wake_stream": "w"}
HOOK = {"type": "webhook", "pattern": "a/*"}


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "x",
        1,
        {},
        {"type": "other"},
        {"type": ["webhook"]},
        GOOD | {"pattern": None},
        GOOD | {"pattern": ""},
        GOOD | {"pattern": 1},
        GOOD | {"pattern": "///"},
        GOOD | {"pattern": "x" * 513},
        GOOD | {"pattern": "a\n"},
        GOOD | {"pattern": "__ds/**"},
        GOOD | {"pattern": "/__ds/keys/0"},
        GOOD | {"streams": "a"},
        GOOD | {"streams": {"a": 1}},
        GOOD | {"streams": [1]},
        GOOD | {"streams": [""]},
        GOOD | {"streams": [None]},
        GOOD | {"streams": ["__ds"]},
        GOOD | {"streams": ["a\u0000"]},
        GOOD | {"streams": [f"{n}" for n in range(10_001)]},
        GOOD | {"streams": ["w"]},
        GOOD | {"wake_stream": None},
        GOOD | {"wake_stream": ["w"]},
        GOOD | {"wake_stream": "__ds/keys/0"},
        GOOD | {"wake_stream": "text"},
        GOOD | {"lease_ttl_ms": 999},
        GOOD | {"lease_ttl_ms": 600_001},
        GOOD | {"lease_ttl_ms": 1000.5},
        GOOD | {"lease_ttl_ms": "1000"},
        GOOD | {"lease_ttl_ms": True},
        GOOD | {"lease_ttl_ms": None},
        GOOD | {"description": 1},
        GOOD | {"description": "x" * 1001},
        HOOK,
        HOOK | {"webhook": "https://example.com"},
        HOOK | {"webhook": {}},
        HOOK | {"webhook": {"url": 1}},
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused_with_a_sentence(long_open, told):
    long_open.put("/text", headers={"Content-Type": "text/plain"})
    refused = long_open.put("/__ds/subscriptions/bad", content=json.dumps(told))
    assert (refused.status_code, code(refused)) == (400, "INVALID_REQUEST"), refused.text
    assert refused.json()["error"]["message"].endswith(".")
    assert long_open.get("/__ds/subscriptions/bad").status_code == 404


def test_requests_that_make_no_sense_are_refused_and_never_a_failure_of_ours(http, receiver):
    receiver.answer = (200, {})
    hook(http, receiver, pattern="*", lease_ttl_ms=60_000)
    pull(http, pattern="*")
    say(http, "a", 1)
    (wake,) = until(lambda: receiver.told)
    token, base = wake["callback_token"], "/__ds/subscriptions"
    for body in (b"{", b"[1]", b"null", b"\xff", b'{"a":NaN}', b"[" * 100_000, b'"x"'):
        for method, path in (
            ("PUT", "hook"),
            ("PUT", "new"),
            ("POST", "hook/streams"),
            ("POST", "pull/claim"),
            ("POST", "hook/callback"),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            refused = http.request(method, f"{base}/{path}", content=body, headers=headers)
            assert (refused.status_code, code(refused)) == (400, "INVALID_REQUEST"), (path, body[:20])
    for worker in (None, "", 1, "x" * 201):
        assert verb(http, "pull", "claim", worker=worker).status_code == 400
    for acks in ("x", {"a": 1}, [1], [[]], [None]):
        assert verb(http, "hook", "callback", token, **of(wake), acks=acks).status_code == 400
    for ack in ({}, {"stream": "a"}, {"offset": 1, "stream": "a"}):
        assert code(verb(http, "hook", "callback", token, **of(wake), acks=[ack])) == "INVALID_OFFSET"
    tail = "0000000000000000_0000000000000000"
    for stream in (None, 1, "", [], "x" * 600):
        assert verb(http, "hook", "callback", token, **of(wake), acks=[{"stream": stream, "offset": tail}]).is_error
    for streams in (None, "a", [1], [""], ["__ds/x"]):
        assert http.post(f"{base}/hook/streams", json={"streams": streams}).status_code == 400


def test_every_other_address_says_that_it_is_none(http, receiver):
    hook(http, receiver, pattern="*")
    pull(http, pattern="*")
    base = "/__ds/subscriptions"
    large = http.put(f"{base}/new", content=b'{"x": "' + b"x" * (1 << 20) + b'"}')
    assert large.status_code == 413
    for method, path, status in (
        ("GET", "/__ds", 404),
        ("PUT", "/__ds", 404),
        ("GET", "/__ds/", 404),
        ("PUT", "/__ds/mine", 404),
        ("PUT", "/%2F__ds/mine", 404),
        ("POST", "/__ds/jwks.json", 405),
        ("GET", "/__ds/jwks.json/x", 404),
        ("PUT", f"{base}/", 404),
        ("PUT", f"{base}/.", 404),
        ("PUT", f"{base}/%2E%2E", 404),
        ("PUT", f"{base}/{'x' * 129}", 404),
        ("PUT", f"{base}/a%00", 404),
        ("PUT", f"{base}/%FF", 404),
        ("POST", f"{base}/hook", 405),
        ("PATCH", f"{base}/hook", 405),
        ("GET", f"{base}/hook/claim", 405),
        ("GET", f"{base}/hook/callback", 405),
        ("GET", f"{base}/hook/streams", 405),
        ("GET", f"{base}/hook/streams/a", 405),
        ("DELETE", f"{base}/hook/streams/", 400),
        ("POST", f"{base}/hook/other", 404),
        ("GET", f"{base}/nobody", 404),
        ("POST", f"{base}/nobody/claim", 404),
        ("POST", f"{base}/nobody/callback", 401),
        ("DELETE", f"{base}/nobody/streams/a", 404),
    ):
        assert http.request(method, path).status_code == status, (method, path)


def test_what_is_kept_under_reserved_names_is_nobodys_stream(http, receiver):
    hook(http, receiver, pattern="**")
    for name in ("keys/0", "keys/1", "catalogue/0", "catalogue/1", "subscriptions/hook/0", "subscriptions/hook/1"):
        for path in (f"/__ds/{name}", f"/%2F__ds/{name}", f"/%5F_ds/{name}"):
            assert http.get(path).status_code in (404, 405)
            assert http.delete(path).status_code in (404, 405)
            assert http.post(path, headers=JSON, content=b"{}").status_code in (404, 405)
        for source in (f"/v1/stream/__ds/{name}", f"/v1/stream/%5F%5Fds/{name}"):
            assert http.put("/copy", headers=JSON | {"Stream-Forked-From": source}).status_code == 404
    assert http.get("/copy").status_code == 404
    assert acked(http) == {}


def test_in_a_house_only_arbe_subscribes_and_only_within_one_house(living, as_arbe, as_ada):
    base = "/__ds/subscriptions"
    told = {"type": "pull-wake", "pattern": "oak/*", "wake_stream": "oak/wakes", "lease_ttl_ms": 1000}
    as_arbe.put("/oak/wakes", headers=JSON)
    assert as_arbe.put(f"{base}/oak", json=told).status_code == 201
    for other in (
        {"pattern": "*/x"},
        {"pattern": "**"},
        {"pattern": "%2A/x"},
        {"pattern": "oak"},
        {"pattern": "elm/*"},
        {"wake_stream": "elm/wakes"},
        {"streams": ["elm/talk"]},
    ):
        assert as_arbe.put(f"{base}/other", json=told | other).status_code == 400
    assert as_arbe.post(f"{base}/oak/streams", json={"streams": ["elm/talk"]}).status_code == 400
    refused = as_arbe.put(f"{base}/web", json=HOOK | {"pattern": "oak/*", "webhook": {"url": "http://127.0.0.1:1/"}})
    assert code(refused) == "WEBHOOK_URL_REJECTED"
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/streams"),
        ("DELETE", "/streams/oak/x"),
        ("POST", "/claim"),
    ):
        assert as_ada.request(method, f"{base}/oak{path}", json=told).status_code == 404
    with living.http("nobody") as nobody:
        assert nobody.get(f"{base}/oak").status_code == 401
        assert nobody.get("/__ds/jwks.json").status_code == 200
        as_arbe.put("/elm/talk", headers=JSON, content=b"1")
        assert code(as_arbe.post(f"{base}/oak/claim", json={"worker": "one"})) == "NO_PENDING_WORK"
        as_arbe.put("/oak/talk", headers=JSON, content=b"1")
        claimed = as_arbe.post(f"{base}/oak/claim", json={"worker": "one"}).json()
        assert [each["path"] for each in claimed["streams"] if each["has_pending"]] == ["oak/talk"]
        assert verb(nobody, "oak", "release", "wrong", **of(claimed)).status_code == 401
        assert verb(nobody, "oak", "release", claimed["token"], **of(claimed)).status_code == 204
