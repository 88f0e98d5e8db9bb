"""A thread with 5,000 events: how long the server takes for its page, and for the page before."""

import re
import statistics
import time
from html import unescape

import httpx
import orjson

from tests.acceptance.hands import Hand

EVENTS, AT_ONCE = 5000, 500
TIMES = 15


def measure(hand: Hand, streams_key: str) -> dict[str, list[float]]:
    """Seconds of each request, by what was asked for."""
    thread = hand.post("threads/", name="five thousand events")
    hand.post(f"threads/{thread['id']}/messages/", text="the first")
    _fill(hand, thread["stream"], streams_key)
    page = f"/houses/{hand.house}/threads/{thread['id']}/"
    shown = hand.person.http.get(page)
    earlier = re.search(r'hx-get="([^"]*before=[^"]+)"', shown.text)
    assert shown.status_code == 200 and earlier, shown.text[:2000]
    before = unescape(earlier[1])
    return {
        f"page of a thread with {EVENTS:,} events": _timed(hand.person.http, page),
        "the page before it": _timed(hand.person.http, before, {"HX-Request": "true"}),
    }


def _fill(hand: Hand, stream: str, key: str) -> None:
    """What a busy thread is made of: talk, and commands with colourful output."""
    author = hand.events(stream)[0]["author_agent_id"]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    told = [event for number in range(EVENTS // 5) for event in _story(number)]
    for start in range(0, len(told), AT_ONCE):
        events = [event | {"author_agent_id": author} for event in told[start : start + AT_ONCE]]
        answer = hand.system.client().post(
            f"/v1/stream/{hand.house}/{stream}", content=orjson.dumps(events), headers=headers
        )
        assert answer.is_success, answer.text


def _story(number: int) -> list[dict]:
    command = f"bench{number}"
    output = "".join(f"\x1b[3{line % 8}mline {line}\x1b[0m of {number} <&>\n" for line in range(20))
    split = {"queue": 0.01, "sandbox": 0.01, "tree": 0.01}
    finished = {"status": "completed", "exit_code": 0, "seconds": 1.5, "reason": "", "changed": [], "snapshot": None}
    finished |= {"landed": None, "conflicts": [], "left_out": [], "redactions": {}}
    return [
        {"type": "message", "payload": {"text": f"Number **{number}**: `run` it, see [this](https://example.org)."}},
        {"type": "command_queued", "payload": {"command_id": command, "text": f"python3 summarise.py {number}"}},
        {"type": "command_started", "payload": {"command_id": command, "sandbox_id": "bench", "split": split}},
        {"type": "command_output", "payload": {"command_id": command, "start": 0, "end": len(output), "text": output}},
        {"type": "command_finished", "payload": {"command_id": command, **finished}},
    ]


def _timed(client: httpx.Client, path: str, headers: dict[str, str] | None = None) -> list[float]:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = client.get(path, headers=headers)
        taken.append(time.perf_counter() - began)
        assert answer.status_code == 200 and answer.text.count("<article") + answer.text.count('class="note"') > 20
    return taken


def told(measured: dict[str, list[float]]) -> list[tuple[str, str, str]]:
    return [
        (what, f"{statistics.median(taken) * 1000:.0f} ms (aim < 300)", f"worst {max(taken) * 1000:.0f}, of {TIMES}")
        for what, taken in measured.items()
    ]
