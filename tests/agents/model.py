"""A model that says what a test wants: a server on loopback that programs take for a provider of models.

It answers by the scenario that it finds in what it was told, makes real calls of the tools it is offered, and keeps
every request, so that a test can say that the key arrived, or that nothing was asked.
"""

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.agents.dialects import DIALECTS
from tests.agents.dialects.wire import error
from tests.agents.scenarios import Answer, Told, answer, chosen

KEY = "sk-the-real-key-of-oak"


@dataclass(frozen=True)
class Request:
    """One thing that somebody asked of the model."""

    at: float  # on the clock of `time.monotonic`
    api: str
    model: str
    scenario: str
    key: str  # as it came
    told: Told
    streamed: bool
    body: dict[str, Any] = field(repr=False)

    @property
    def user(self) -> str:
        return self.told.last

    @property
    def turn(self) -> int:
        return self.told.turn


class Model:
    """The server. `requests` is what it was asked; with `key`, another one opens nothing."""

    def __init__(self, key: str = "") -> None:
        self.key, self.port = key, 0
        self.requests: list[Request] = []
        self._heard = threading.Condition()
        self._let_go: set[str] = set()
        self._server: _Server | None = None

    def start(self) -> "Model":
        """Also again, at the same place."""
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def stop(self) -> None:
        """Nobody answers there any more, and whoever was being answered is cut off."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_all()
            self._server = None

    @property
    def url(self) -> str:
        """Where the OpenAI ways of speaking begin; for Anthropic's, without `/v1`."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def heard(self, **like: Any) -> list[Request]:
        """The requests that are so: `heard(scenario="write", turn=1)`."""
        with self._heard:
            return [one for one in self.requests if all(getattr(one, key) == value for key, value in like.items())]

    def awaits(self, within: float = 60, **like: Any) -> Request:
        """The first request that is so, when it has come."""
        with self._heard:
            came = self._heard.wait_for(lambda: self.heard(**like), within)
            assert came, f"nobody asked {like}; asked was {[(r.scenario, r.turn, r.user[:80]) for r in self.requests]}"
        return came[0]

    def let_go(self, name: str) -> None:
        """What was held under that name is answered, now and from now on."""
        with self._heard:
            self._let_go.add(name)
            self._heard.notify_all()

    def hold_back(self, name: str) -> None:
        """What is held under that name waits again."""
        self._let_go.discard(name)

    def is_free(self, name: str) -> bool:
        return name in self._let_go

    def note(self, request: Request) -> None:
        with self._heard:
            self.requests.append(request)
            self._heard.notify_all()

    def wait_for_let_go(self, seconds: float) -> None:
        with self._heard:
            self._heard.wait(seconds)


class _Gone(Exception):
    """Whoever asked does not want to know any more."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, place: tuple[str, int], model: Model) -> None:
        self.model, self._open = model, set()
        super().__init__(place, _Exchange)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        for one in list(self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asks may go at any moment."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._say({})

    def do_GET(self) -> None:
        if self.path.partition("?")[0].rstrip("/").endswith("/models"):
            self._say({"object": "list", "models": [], "data": []})
        else:
            self._say({"error": {"message": "There is nothing here."}}, 404)

    def do_POST(self) -> None:
        at, path, raw = time.monotonic(), self.path.partition("?")[0], self._body()
        dialect = next((one for one in DIALECTS if path.endswith(one.path)), None)
        if path.endswith("/count_tokens"):
            self._say({"input_tokens": 11})
        elif dialect is None:
            self._say({"error": {"message": "There is nothing here."}}, 404)
        else:
            body = json.loads(raw)
            told, model = dialect.read(body), body.get("model", "")
            scenario, options = chosen(told, model)
            streamed = bool(body.get("stream"))
            self.server.model.note(Request(at, dialect.name, model, scenario, self._key(), told, streamed, body))
            self._answer(dialect, self._given(scenario, told, options), model, streamed)

    def _given(self, scenario: str, told: Told, options: dict[str, str]) -> Answer:
        if self.server.model.key not in ("", self._key()):
            return Answer(status=401, text="This key opens nothing.")
        return answer(scenario, told, options)

    def _key(self) -> str:
        return (self.headers.get("authorization") or self.headers.get("x-api-key") or "").removeprefix("Bearer ")

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        raw = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    def _answer(self, dialect: Any, given: Answer, model: str, streamed: bool) -> None:
        try:
            if given.status != 200:
                self._say(error(given), given.status)
            elif streamed:
                self._stream(dialect, given, model)
            else:
                self._hold(given)
                if given.hangs:
                    self._until(lambda: False)
                if not given.cut:
                    self._say(dialect.whole(given, model))
        except (OSError, _Gone):
            self.close_connection = True

    def _stream(self, dialect: Any, given: Answer, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        pieces = dialect.stream(given, model)
        self._piece(*next(pieces))
        self._hold(given)
        for name, data in pieces:
            self._piece(name, data)
        if given.hangs:
            self._until(lambda: False)
        if not given.cut:
            self.wfile.write(b"0\r\n\r\n")

    def _piece(self, name: str, data: dict[str, Any] | str) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        chunk = ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.flush()

    def _say(self, what: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _hold(self, given: Answer) -> None:
        if given.hold:
            self._until(lambda: self.server.model.is_free(given.hold))

    def _until(self, true: Callable[[], bool]) -> None:
        """Wait for that, as long as whoever asked is there."""
        while not true():
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1 << 16):
                raise _Gone
            self.server.model.wait_for_let_go(0.1)
