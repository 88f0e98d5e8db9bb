"""Recorded runs of the real programs, and adapters that have heard them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threads.runtimes.adapter import Task
from threads.runtimes.adapters import adapter

FOLDER = Path(__file__).parent / "fixtures"


def task(**changes) -> Task:
    said: dict[str, Any] = {
        "thread_id": "thr1",
        "run_id": "run1",
        "session": "",
        "resumes": False,
        "prompt": "x",
        "model": "fake-plain",
        "api": "openai-completions",
        "system_prompt": "You are Scribe.",
    }
    return Task(**(said | changes))


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.jsonl").read_bytes()


def lines(name: str) -> list[bytes]:
    """What the program printed, without what was said to it."""
    return [line for line in raw(name).splitlines() if not line.startswith(b"> ")]


@dataclass
class Everything:
    """All that a run came to."""

    events: list[Any] = field(default_factory=list)
    send: list[bytes] = field(default_factory=list)
    took: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    overs: int = 0

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.kind == kind]


def feed(one, printed) -> Everything:
    everything = Everything()
    for line in printed:
        found = one.hear(line)
        everything.events += found.events
        everything.send += found.send
        everything.took += found.took
        everything.sessions += [found.session] if found.session else []
        everything.overs += found.over
    return everything


def fed(program: str, name: str, **changes):
    one = adapter(program, task(**changes))
    feed(one, lines(name))
    return one


def heard(program: str, name: str, **changes) -> Everything:
    return feed(adapter(program, task(**changes)), lines(name))
