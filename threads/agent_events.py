"""What an agent's program does while a run lasts, in the same words for all programs; authored by the bot.

The names begin with `pi.` whichever program it was. `call_id` is the program's own, and new within its run.
"""

from dataclasses import dataclass
from typing import Any

from streams.events import Event


@dataclass(frozen=True, kw_only=True)
class PiAssistant(Event, kind="pi.assistant"):
    """The agent said something, in markdown: a whole message."""

    run_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PiToolCall(Event, kind="pi.tool_call"):
    """It calls a tool; `title` is what it does in one line (the command, the path), long arguments are cut."""

    run_id: str
    call_id: str
    tool: str
    title: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PiToolOutput(Event, kind="pi.tool_output"):
    """Some more of what a tool prints while it runs; the result has all of it again, as far as there is room."""

    run_id: str
    call_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PiToolResult(Event, kind="pi.tool_result"):
    """A tool has ended. `text` is what it said, without `left_out` characters of its middle."""

    run_id: str
    call_id: str
    tool: str
    text: str
    left_out: int
    is_error: bool
    exit_code: int | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class PiUsage(Event, kind="pi.usage"):
    """These tokens were spent since the last such event. `input` was not in a cache; `usd` is the program's figure."""

    run_id: str
    input: int
    output: int
    cache_read: int
    cache_write: int
    usd: float | None
    model: str


@dataclass(frozen=True, kw_only=True)
class PiRetry(Event, kind="pi.retry"):
    """The model's provider did not answer as it should; the agent asks again, after so many seconds if it says so."""

    run_id: str
    attempt: int
    attempts: int | None
    seconds: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class PiLine(Event, kind="pi.line"):
    """The program printed something that arbe does not know; cut where it is long. `bytes` is its whole length."""

    run_id: str
    text: str
    bytes: int
