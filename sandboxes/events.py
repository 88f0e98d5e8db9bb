"""What can happen to a machine, as events of the threads that use it."""

from dataclasses import dataclass

from streams.events import Event


@dataclass(frozen=True, kw_only=True)
class SandboxCreated(Event, kind="signal.sandbox.created"):
    """A machine was made for this thread. `seconds` is how long that took."""

    sandbox_id: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SandboxResumed(Event, kind="sandbox_resumed"):
    """The old machine died; this one has its tree, as of the snapshot (a commit) `restored_from`."""

    sandbox_id: str
    restored_from: str | None
    lost: str
