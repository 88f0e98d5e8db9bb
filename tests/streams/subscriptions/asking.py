"""What the tests of subscriptions ask a server, and the webhook that it calls."""

import json
import threading
import time
from base64 import urlsafe_b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

JSON = {"Content-Type": "application/json"}


class Receiver:
    """A webhook. It answers what `answers` says, one after another, and then `answer`; None never answers."""

    def __init__(self):
        self.calls, self.answers, self.answer = [], [], (200, {"done": True})
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls.append((time.monotonic(), body, dict(self.headers)))
                said = outer.answers.pop(0) if outer.answers else outer.answer
                if said is None:
                    outer._over.wait(60)
                    return
                status, told = said
                told = json.dumps(told).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def told(self):
        return [json.loads(body) for _, body, _ in self.calls]

    def stop(self):
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def until(true, seconds=30.0):
    """What a question answers, once it is true; for long enough on a machine with a lot to do."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
    return found


def subscribe(http, name, **told):
    return http.put(f"/__ds/subscriptions/{name}", json=told)


def hook(http, receiver, name="hook", **told):
    told = {"type": "webhook", "webhook": {"url": receiver.url}, "lease_ttl_ms": 1000} | told
    return subscribe(http, name, **told)


def pull(http, name="pull", **told):
    http.put("/wakes/here", headers=JSON, content=b"[]")
    return subscribe(http, name, **{"type": "pull-wake", "wake_stream": "wakes/here", "lease_ttl_ms": 1000} | told)


def say(http, path, *messages):
    """Append, creating the stream if need be; its tail."""
    if http.head(f"/{path}").status_code == 404:
        return http.put(f"/{path}", headers=JSON, json=list(messages)).headers["stream-next-offset"]
    done = http.post(f"/{path}", json=list(messages))
    assert done.status_code == 204
    return done.headers["stream-next-offset"]


def shown(http, name="hook"):
    return http.get(f"/__ds/subscriptions/{name}").json()


def acked(http, name="hook"):
    return {link["path"]: link["acked_offset"] for link in shown(http, name)["streams"]}


def verb(http, name, what, token="", **told):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return http.post(f"/__ds/subscriptions/{name}/{what}", json=told, headers=headers)


def claim(http, worker="one", name="pull"):
    return verb(http, name, "claim", worker=worker)


def of(wake):
    return {"wake_id": wake["wake_id"], "generation": wake["generation"]}


def code(answer):
    return answer.json()["error"]["code"]


def signed(http, call):
    """Whether the signature of a call holds, by the key that the server shows."""
    _, body, headers = call
    told = dict(part.split("=", 1) for part in headers["Webhook-Signature"].split(","))
    jwks = http.get("/__ds/jwks.json")
    assert jwks.headers["cache-control"] == "public, max-age=300"
    (key,) = [key for key in jwks.json()["keys"] if key["kid"] == told["kid"]]
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")
    assert abs(int(told["t"]) - time.time()) < 60
    public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"] + "="))
    public.verify(urlsafe_b64decode(told["ed25519"] + "=="), told["t"].encode() + b"." + body)
    with pytest.raises(InvalidSignature):
        public.verify(urlsafe_b64decode(told["ed25519"] + "=="), told["t"].encode() + b"." + body + b" ")
    return True
