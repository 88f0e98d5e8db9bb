"""What every agent's program looks like from outside: how it is started, what its lines mean, how it ended."""

from dataclasses import dataclass, field
from typing import Protocol

from sandboxes.provider import Exit
from streams.events import Event

PI, CLAUDE_CODE, CODEX = "pi", "claude-code", "codex"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a program needs to start. `session` is its own name for what it goes on with, empty if there is none."""

    thread_id: str
    session: str
    resumes: bool
    prompt: str
    model: str
    api: str
    system_prompt: str
    run_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What is started: words, variables and files (absolute path to text). In all of them @DOOR@ is the door."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one line means.

    `send` are lines for its standard input; `over` says that it has said its last word; `session` is the name of its
    session; `took` are the texts of those messages that it has taken up now.
    """

    events: tuple[Event, ...] = ()
    send: tuple[bytes, ...] = ()
    over: bool = False
    session: str | None = None
    took: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `code` names the reason (empty if all went well), `sentence` says it and what to do."""

    status: str
    code: str = ""
    sentence: str = ""
    summary: str = ""


class Adapter(Protocol):
    """One program in one run: a pure function of the lines that it was fed, so that anybody can take over."""

    def launch(self) -> Launch: ...

    def opening(self) -> tuple[bytes, ...]:
        """Lines for its standard input, before it has said anything."""

    def hear(self, line: bytes) -> Heard:
        """One line that it printed, without the newline. Never raises."""

    def steer(self, text: str) -> bytes | None:
        """What to send so that it hears this while it works; None when it cannot."""

    def interrupt(self) -> bytes | None:
        """What to send so that it stops by itself; None when it cannot."""

    def outcome(self, exit: Exit | None, *, stop_asked: bool) -> Outcome:  # noqa: A002  # it is the word for it
        """How it ended; without an exit, it said its last word and its process is still there."""
