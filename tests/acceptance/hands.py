"""Agents who use a running arbe over HTTP and websocket, as anybody would."""

import json
import re
import threading
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.system import System, until

OVER = ("completed", "failed", "cancelled")


class Person:
    """Somebody who came in by a sign-in link, with a browser's cookies."""

    def __init__(self, system: System, link: str) -> None:
        self.system = system
        self.http = system.client(follow_redirects=True)
        page = self.http.get(link)
        form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert form, page.text
        self.http.post(link, data={"csrfmiddlewaretoken": form[1]}).raise_for_status()
        assert self.cookies.get("arbe_session"), "the link did not sign anybody in"

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self.http.cookies)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.http.post(f"/api/{path}", json=body, headers={"X-CSRFToken": self.cookies["csrftoken"]})
        assert answer.is_success, answer.text
        return answer.json()

    def rename(self, name: str) -> None:
        form = {"name": name, "csrfmiddlewaretoken": self.cookies["csrftoken"]}
        self.http.post("/you/", data=form).raise_for_status()

    def found(self, name: str) -> str:
        """A house of their own; its id."""
        return self.post("houses/", name=name)["id"]

    def admit(self, house: str, name: str, email: str) -> "Person":
        """A person who is new here, let into the house, and come in."""
        link = self.post(f"houses/{house}/members/", name=name, email=email)["sign_in_link"]
        return Person(self.system, link)

    def at_work(self, house: str, **how: Any) -> "Hand":
        token = self.post(f"houses/{house}/tokens/", name="acceptance", **how)
        return Hand(self.system, house, token["text"], self)


class Hand:
    """An agent at work in a house, by the API and with a token."""

    def __init__(self, system: System, house: str, token: str, person: Person) -> None:
        self.system, self.house, self.person = system, house, person
        self.bearer = {"Authorization": f"Bearer {token}"}
        self.http = system.client(headers=self.bearer)

    def ask(self, method: str, path: str, /, **options: Any) -> httpx.Response:
        return self.http.request(method, f"/api/houses/{self.house}/{path}", **options)

    def get(self, path: str, /, **query: Any) -> Any:
        return _good(self.ask("GET", path, params=query))

    def post(self, path: str, /, **body: Any) -> Any:
        return _good(self.ask("POST", path, json=body))

    def put(self, path: str, content: bytes | None = None) -> Any:
        return _good(self.ask("PUT", path, content=content))

    # The work

    def workshop(self, name: str, source: Path | None = None, **config: Any) -> "Workshop":
        """A repository, an environment with it and a thread there."""
        repository = self.post("repositories/", name=name, source=str(source) if source else None)["id"]
        environment = self.post("environments/", name=name, config={"repository": repository, **config})["id"]
        thread = self.post("threads/", name=name, environment=environment)
        return Workshop(self, repository, environment, thread["id"], thread["stream"])

    def events(self, stream: str, *kinds: str) -> list[dict[str, Any]]:
        """Everything in a stream so far, from the stream server itself."""
        found: list[dict[str, Any]] = []
        offset, last = "-1", False
        while not last:
            page = self.http.get(f"/v1/stream/{self.house}/{stream}", params={"offset": offset})
            if page.status_code == 404:  # nothing of it was told yet
                return []
            found += _good(page)
            offset, last = page.headers["stream-next-offset"], page.headers.get("stream-up-to-date") == "true"
        return [event for event in found if not kinds or event["type"] in kinds]


class Workshop:
    """A repository, an environment and a thread, in somebody's hand."""

    def __init__(self, hand: Hand, repository: str, environment: str, thread: str, stream: str) -> None:
        self.hand, self.repository, self.environment = hand, repository, environment
        self.thread, self.stream = thread, stream

    def held_by(self, hand: Hand) -> "Workshop":
        return Workshop(hand, self.repository, self.environment, self.thread, self.stream)

    def begin(self, text: str) -> str:
        return self.hand.post(f"threads/{self.thread}/commands/", text=text)["id"]

    def run(self, text: str, within: float = 60) -> dict[str, Any]:
        return self.rest("commands", self.begin(text), within)

    def make(self, target: str, within: float = 60) -> dict[str, Any]:
        begun = self.hand.post(f"threads/{self.thread}/makes/", target=target)["id"]
        return self.rest("makes", begun, within)

    def rest(self, noun: str, which: str, within: float = 60) -> dict[str, Any]:
        """The command or make as it is when it has ended, and when that was told in the thread."""
        path = f"threads/{self.thread}/{noun}/{which}/"
        until(lambda: self.hand.get(path)["status"] in OVER, within)
        ending = {"commands": ("command_finished", "command_id"), "makes": ("make_finished", "make_id")}[noun]
        until(lambda: any(e["payload"][ending[1]] == which for e in self.events(ending[0])), within)
        return self.hand.get(path)

    def stop(self, command: str) -> None:
        self.hand.put(f"threads/{self.thread}/commands/{command}/stop/")

    def say(self, text: str) -> None:
        self.hand.post(f"threads/{self.thread}/messages/", text=text)

    def read(self, path: str) -> bytes:
        answer = self.hand.ask("GET", f"repositories/{self.repository}/files/{path}")
        assert answer.is_success, answer.text
        return answer.content

    def write(self, path: str, content: bytes) -> dict[str, Any]:
        return self.hand.put(f"repositories/{self.repository}/files/{path}", content)

    def head(self) -> str:
        return self.hand.get(f"repositories/{self.repository}/")["head"]

    def stale(self) -> dict[str, str]:
        found = self.hand.get(f"repositories/{self.repository}/stale/")
        return {one["path"]: one["state"] for one in found["results"]}

    def why(self, path: str) -> dict[str, Any]:
        return self.hand.get(f"repositories/{self.repository}/why/", path=path)

    def plan(self, target: str) -> dict[str, Any]:
        return self.hand.get(f"threads/{self.thread}/plan/", target=target)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return self.hand.events(self.stream, *kinds)

    def output(self, command: str, stream: str | None = None) -> str:
        """What a command printed, as the stream has it; that no byte is missing or doubled is checked on the way."""
        told = self.hand.events(stream or self.stream, "command_output")
        chunks = [e["payload"] for e in told if e["payload"]["command_id"] == command]
        ends = [0, *(chunk["end"] for chunk in chunks)]
        assert [chunk["start"] for chunk in chunks] == ends[:-1], "a piece of output is missing or came twice"
        return "".join(chunk["text"] for chunk in chunks)

    def watch(self, after: str = "-1", cookies: dict[str, str] | None = None) -> "Watcher":
        """A live page's websocket; with a person's cookies instead of the token, if given."""
        headers = dict(self.hand.bearer)
        if cookies is not None:
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        system = self.hand.system
        address = f"ws://127.0.0.1:{system.port}/ws/threads/{self.hand.house}/{self.thread}?after={after}"
        return Watcher(connect(address, additional_headers=headers, origin=system.url, max_size=None))


class Watcher:
    """Keeps what a websocket brings, with the time at which each event came."""

    def __init__(self, connected: AbstractContextManager[ClientConnection]) -> None:
        self.events: list[dict[str, str]] = []
        self.times: list[float] = []
        self._heard = threading.Condition()
        self._open = ExitStack()
        self.socket = self._open.enter_context(connected)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._reader.join(5)

    def sees(self, part: str, within: float = 30, since: int = 0) -> float:
        """The time at which an event came whose HTML has this in it."""
        deadline = time.monotonic() + within
        with self._heard:
            while True:
                for event, at in zip(self.events[since:], self.times[since:], strict=True):
                    if part in event["html"]:
                        return at
                assert self._heard.wait(deadline - time.monotonic()), f"nobody showed {part!r}"

    @property
    def story(self) -> list[tuple[str, str, str]]:
        return [(event["seq"], event["type"], event["html"]) for event in self.events]

    def _read(self) -> None:
        try:
            for frame in self.socket:
                at, events = time.perf_counter(), json.loads(frame)["events"]
                with self._heard:
                    self.events += events
                    self.times += [at] * len(events)
                    self._heard.notify_all()
        except ConnectionClosed:
            return


def _good(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:2000]}"
    return answer.json()
