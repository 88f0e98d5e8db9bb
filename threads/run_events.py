"""What happens to the run of an agent, and in the thread that it drives; what the agent does is in `agent_events`."""

from dataclasses import dataclass
from typing import Any

from streams.events import Event


@dataclass(frozen=True, kw_only=True)
class RunQueued(Event, kind="run_queued"):
    """A bot was given work; what it was told is the message before. With `make_id`, a step of making `target`."""

    run_id: str
    bot_id: str
    runtime: str
    model: str
    make_id: str | None = None
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event, kind="run_started"):
    """Its agent runs. `split` says where the seconds before that went: `queue`, `sandbox`, `tree`."""

    run_id: str
    sandbox_id: str
    split: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event, kind="run_finished"):
    """It is over: how, what the agent said last, what it changed and what it cost.

    `code` names the reason (`provider_auth`, `empty_answer`, `orphaned`, `budget` …; empty when all went well) and
    `reason` says it with what to do. `changed`, `more`, `snapshot`, `landed`, `conflicts`, `left_out` and `redactions`
    are as of a command; `branch` holds what it made where that could not land. `spent` are tokens by kind, and `usd`
    (null where nobody knows the price).
    """

    run_id: str
    bot_id: str
    status: str
    code: str
    reason: str
    summary: str
    seconds: float
    exit_code: int | None
    changed: list[dict[str, Any]]
    more: int
    snapshot: str | None
    landed: str | None
    conflicts: list[str]
    branch: str | None
    left_out: list[dict[str, Any]]
    redactions: dict[str, int]
    spent: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StatusChanged(Event, kind="signal.thread.status_changed"):
    """The thread's row says something else now; every flip of it is told."""

    status: str
    before: str
    run_id: str | None = None
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class ChildFinished(Event, kind="signal.thread.child_finished"):
    """A run of a child thread rests: what came of it, for the thread that it was delegated from."""

    child_thread_id: str
    run_id: str
    bot_id: str
    status: str
    code: str
    summary: str
    changed: list[dict[str, Any]]
    more: int
    spent: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PiFailed(Event, kind="signal.thread.pi_failed"):
    """The agent program failed: `error_class` as the adapter names it, and the facts of its process."""

    run_id: str
    error_class: str
    detail: str
    exit_code: int | None
    signal: int | None


@dataclass(frozen=True, kw_only=True)
class PiSessionOrphaned(Event, kind="signal.thread.pi_session_orphaned"):
    """The agent went away without a last word, or was silent for too long; `seconds` since it was last heard."""

    run_id: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SessionStarted(Event, kind="signal.dispatch.session_started"):
    """The agent program named its session; the next run goes on in it. `resumed` if it was there before."""

    run_id: str
    runtime: str
    session: str
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class PiWaiting(Event, kind="signal.dispatch.pi_waiting"):
    """The run waits on somebody (`on`, an agent's id) for an answer."""

    run_id: str
    on: str
    question: str


@dataclass(frozen=True, kw_only=True)
class PiAnswered(Event, kind="signal.dispatch.pi_answered"):
    """It waits no more: somebody said something, or the run rests."""

    run_id: str


@dataclass(frozen=True, kw_only=True)
class SteerTaken(Event, kind="signal.dispatch.steer_taken"):
    """The agent has read what was said to it while it worked."""

    run_id: str
    message_id: str


@dataclass(frozen=True, kw_only=True)
class MessageWaiting(Event, kind="message_waiting"):
    """Somebody said something to a bot at work. It steers the run, or waits for its end; until then it can change."""

    message_id: str
    text: str
    steers: bool


@dataclass(frozen=True, kw_only=True)
class MessageEdited(Event, kind="message_edited"):
    """A message that waits says something else now."""

    message_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class MessageWithdrawn(Event, kind="message_withdrawn"):
    """A message that waited was taken back."""

    message_id: str


@dataclass(frozen=True, kw_only=True)
class MessageHandedOver(Event, kind="message_handed_over"):
    """A message that waited went to the run."""

    message_id: str
    run_id: str


@dataclass(frozen=True, kw_only=True)
class AnswerBegun(Event, kind="thread_answer_begun"):
    """A bot of this thread begins to answer, in process."""

    answer_id: str
    bot_id: str
    model: str


@dataclass(frozen=True, kw_only=True)
class AnswerPart(Event, kind="thread_answer_part"):
    """Some more of what it says, as markdown, from character `start` on: what was told beyond that does not count."""

    answer_id: str
    text: str
    start: int = 0


@dataclass(frozen=True, kw_only=True)
class AnswerCalled(Event, kind="thread_answer_called"):
    """It called a tool, with these arguments."""

    answer_id: str
    call_id: str
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AnswerHeard(Event, kind="thread_answer_heard"):
    """What the tool answered, cut where it is long."""

    answer_id: str
    call_id: str
    text: str
    is_error: bool


@dataclass(frozen=True, kw_only=True)
class AnswerFinished(Event, kind="thread_answer_finished"):
    """It is over: the whole `text` it said, how it ended and what it cost."""

    answer_id: str
    bot_id: str
    status: str
    code: str
    reason: str
    text: str
    seconds: float
    spent: dict[str, Any]
