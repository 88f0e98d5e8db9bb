"""What can happen in a thread. Payload fields are the dataclasses' fields; ids are those of rows."""

from dataclasses import dataclass
from typing import Any

from streams.events import Event


@dataclass(frozen=True, kw_only=True)
class Message(Event, kind="message"):
    """Somebody said something, in markdown."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ThreadOpened(Event, kind="thread_opened"):
    """The log begins."""

    name: str | None


@dataclass(frozen=True, kw_only=True)
class ThreadRenamed(Event, kind="thread_renamed"):
    """It has another title."""

    name: str | None


@dataclass(frozen=True, kw_only=True)
class ThreadPinned(Event, kind="thread_pinned"):
    """It became a place in the sidebar."""


@dataclass(frozen=True, kw_only=True)
class ThreadUnpinned(Event, kind="thread_unpinned"):
    """It is no longer a place in the sidebar."""


@dataclass(frozen=True, kw_only=True)
class ThreadTagged(Event, kind="thread_tagged"):
    """These are its tags now, all of them."""

    tags: list[str]


@dataclass(frozen=True, kw_only=True)
class ThreadClosed(Event, kind="thread_closed"):
    """The conversation is over, until somebody reopens it."""


@dataclass(frozen=True, kw_only=True)
class ThreadReopened(Event, kind="thread_reopened"):
    """It goes on."""


@dataclass(frozen=True, kw_only=True)
class ThreadLinkMade(Event, kind="thread_link_made"):
    """Somebody made a read link: until then (RFC 3339) whoever has it reads this log. The link itself is not told."""

    expires_at: str


@dataclass(frozen=True, kw_only=True)
class AgentSpawn(Event, kind="agent_spawn"):
    """Work went to a child thread. Its name is not told here: somebody may read this log and not that one.

    `bot_id` is the bot that does it; null for a thread that somebody opened to talk in.
    """

    child_thread_id: str
    bot_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class CommandQueued(Event, kind="command_queued"):
    """Somebody asked for a command; with `make_id`, a step of making `target`."""

    command_id: str
    text: str
    make_id: str | None = None
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class CommandStarted(Event, kind="command_started"):
    """It runs. `split` says where the seconds before that went: `queue`, `sandbox`, `tree`."""

    command_id: str
    sandbox_id: str
    split: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class CommandOutput(Event, kind="command_output"):
    """Bytes `start` to `end` of its output, redacted, as text. `style` are the ANSI colours in force at the start."""

    command_id: str
    start: int
    end: int
    text: str
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class CommandFinished(Event, kind="command_finished"):
    """It is over: how, and what it changed.

    `changed` are `{path, change, old, new}` (object ids), and `more` the number of those that are not named; `snapshot`
    is the commit that keeps the tree as it was left; `landed` the commit on the repository's branch, if there was
    anything new; `conflicts` the paths that could not land, `left_out` what is not kept (`{path, bytes, reason}`);
    `redactions` how often each secret was hidden.
    """

    command_id: str
    status: str
    exit_code: int | None
    seconds: float
    reason: str
    changed: list[dict[str, Any]]
    more: int
    snapshot: str | None
    landed: str | None
    conflicts: list[str]
    left_out: list[dict[str, Any]]
    redactions: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class ArtifactMade(Event, kind="artifact_made"):
    """A file was made, and this is what from: inputs are `{path, oid, how}`."""

    path: str
    oid: str
    commit: str
    inputs: list[dict[str, Any]]
    command_id: str
    repository_id: str


@dataclass(frozen=True, kw_only=True)
class MakePlanned(Event, kind="make_planned"):
    """Somebody asked for a target; these steps, and `more`, may have to run (`{outputs, command, reasons}`)."""

    make_id: str
    target: str
    steps: list[dict[str, Any]]
    more: int
    fresh: int


@dataclass(frozen=True, kw_only=True)
class MakeFinished(Event, kind="make_finished"):
    """The target is made, or not: `ran` steps ran, `spared` turned out to be needless."""

    make_id: str
    target: str
    status: str
    ran: int
    spared: int
    reason: str
