"""From the submit of a command to its first output at a websocket watcher, and where the time goes."""

import statistics
import time
from datetime import datetime
from typing import Any

from tests.acceptance.hands import Hand, Workshop

WARMING = 5  # runs that are not counted: connections are opened, templates are read
# What ends at each moment, in order; all in milliseconds after the submit.
PARTS = {
    "asked": "request reaches its transaction: HTTP, token, house",
    "claimed": "row and ring, queue, claim by a worker",
    "placed": "sandbox found",
    "prepared": "tree levelled, reads armed",
    "appended": "process started, first output, on disk in the stream",
    "seen": "bell, read, rendered, sent over the websocket",
}


def measure(hand: Hand, runs: int = 40) -> list[dict[str, float]]:
    """For each run, when each part ended."""
    shop = hand.workshop("latency")
    shop.write("data.txt", b"one\n")
    shop.run("cat data.txt > made.txt")
    with shop.watch(after="now") as watcher:
        return [_run(shop, watcher, number) for number in range(WARMING + runs)][WARMING:]


def told(measured: list[dict[str, float]]) -> list[tuple[str, str, str]]:
    """Lines of the table: what, how much, and what of that."""
    seen = [one["seen"] for one in measured]
    worst = f"of {len(seen)}: quickest {min(seen):.0f}, worst {max(seen):.0f}; the answer to the POST itself after "
    worst += f"{statistics.median(one['answered'] for one in measured):.0f}"
    lines = [("submit of a command → first output seen", f"{statistics.median(seen):.0f} ms (aim < 100)", worst)]
    before = 0.0
    for part, words in PARTS.items():
        at = statistics.median(one[part] for one in measured)
        lines.append((f"  … {words}", f"{at - before:+.1f} ms", f"at {at:.1f} ms"))
        before = at
    return lines


def _run(shop: Workshop, watcher: Any, number: int) -> dict[str, float]:
    known = len(watcher.events)
    wall, began = time.time(), time.perf_counter()
    command = shop.begin(f"echo output-$((7000 + {number}))")
    answered = time.perf_counter() - began
    seen = watcher.sees(f"output-{7000 + number}", since=known) - began
    shop.rest("commands", command)
    mine = [event for event in shop.events() if event["payload"].get("command_id") == command]
    at = {event["type"]: datetime.fromisoformat(event["ts"]).timestamp() - wall for event in mine}
    split = next(event["payload"]["split"] for event in mine if event["type"] == "command_started")
    asked = at["command_queued"]
    claimed = asked + split["queue"]
    placed = claimed + split["sandbox"]
    moments = {
        "asked": asked,
        "claimed": claimed,
        "placed": placed,
        "prepared": placed + split["tree"],
        "appended": at["command_output"],
        "seen": seen,
        "answered": answered,
    }
    return {name: seconds * 1000 for name, seconds in moments.items()}
