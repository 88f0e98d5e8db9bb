"""What arbe needs from whoever keeps the machines: one Protocol, and one contract test that every provider passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from artifacts.tree import Snapshot

Reason = Literal[
    "exited",  # it ended by itself; see the code
    "stopped",  # someone asked
    "wall_time",
    "cpu_time",
    "memory",
    "output_limit",
    "file_size",
    "not_started",  # the sandbox could not be set up; its output says why
    "lost",  # the machine, or whoever watched over it, is gone
]

SENTENCES: Mapping[Reason, str] = {
    "exited": "It ended by itself.",
    "stopped": "Someone stopped it.",
    "wall_time": "It ran longer than the environment's wall time limit (limits.wall_seconds).",
    "cpu_time": "It used more processor time than the environment's limit (limits.cpu_seconds).",
    "memory": "It used more memory than the environment's limit (limits.memory_mb).",
    "output_limit": "It printed more than the environment's limit (limits.output_mb).",
    "file_size": "It wrote a file larger than the environment's limit (limits.file_mb).",
    "not_started": "The sandbox could not be set up; the output says why.",
    "lost": "The sandbox it ran in is gone.",
}


class ProviderError(Exception):
    """A provider could not do it; `permanent` says whether asking again can help."""

    def __init__(self, detail: str, *, permanent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one command may use."""

    memory_mb: int = 2048
    cpu_seconds: int = 600
    processes: int = 256
    file_mb: int = 512
    wall_seconds: float = 3600
    output_mb: float = 8

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"limits.{name} must be a number above zero, not {value!r}.")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Limits:
        """An environment's `limits`; what it leaves out is as above, a name nobody knows is refused."""
        unknown = sorted(set(config) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"No such limit: {', '.join(unknown)}.")
        return cls(**config)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Door:
    """What a command may reach of the outside: `$ARBE_DOOR/prefix/…` inside is `url/…`, with headers put in there."""

    prefix: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # secrets are in here
    drops: tuple[str, ...] = ()  # headers of the command's own that do not pass
    public: bool = False  # leads nowhere but to the public internet, whatever its name turns out to mean
    only: tuple[str, ...] = ()  # what may be asked there, as `POST /path`; of a door that says nothing, anything

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", self.prefix):
            raise ProviderError(f"{self.prefix!r} cannot name a door.", permanent=True)
        for name, value in self.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[\t -~\xa0-\xff]*", value):
                raise ProviderError(f"The header {name!r} of a door holds what no header may.", permanent=True)
        self.order()

    def order(self) -> dict[str, Any]:
        """In the parts that a relay needs, which has no time to take an address apart."""
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise self._nowhere() from error
        plain = re.fullmatch(r"[!-~]+", self.url) and not (parts.query or parts.fragment or "@" in parts.netloc)
        if not plain or not host or parts.scheme not in ("http", "https"):
            raise self._nowhere()
        return {
            "prefix": self.prefix,
            "scheme": parts.scheme,
            "host": host,
            "port": port or (443 if parts.scheme == "https" else 80),
            "authority": parts.netloc,
            "path": parts.path.rstrip("/"),
            "headers": dict(self.headers),
            "drops": list(self.drops),
            "public": self.public,
            "only": list(self.only),
        }

    def _nowhere(self) -> ProviderError:
        return ProviderError(f"{self.url!r} is no http address that a door could lead to.", permanent=True)


@dataclass(frozen=True, kw_only=True)
class Exec:
    """One command to run: a list of words, or a text for the shell."""

    process_id: str
    command: str | tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # secrets are in here
    cwd: str = "/home/agent/tree"
    limits: Limits = DEFAULT_LIMITS
    network: bool = False
    programs: bool = False  # those of agents are there too, under /opt/arbe
    doors: tuple[Door, ...] = ()
    takes_input: bool = False  # else its standard input is empty

    def __post_init__(self) -> None:
        words = (self.command,) if isinstance(self.command, str) else self.command
        if any("\0" in word for word in (*words, *self.env, *self.env.values(), self.cwd)):
            raise ProviderError(
                "A command, its folder and its variables cannot contain the NUL character.", permanent=True
            )
        if bad := [name for name in self.env if not name or "=" in name]:
            raise ProviderError(f"{bad[0]!r} cannot name a variable.", permanent=True)


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a command ended. A code above 128 is the shell's way to say signal `code - 128`."""

    reason: Reason
    code: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    output_bytes: int = 0
    cpu_seconds: float | None = None  # of all its processes
    memory_bytes: int | None = None  # at the peak of the largest of them

    @property
    def sentence(self) -> str:
        return SENTENCES[self.reason]


class Provider(Protocol):
    """Keeps sandboxes. A `ref` is the provider's own name for one; every verb may be said twice."""

    def check(self) -> str | None:
        """Why no command can run here, as a sentence; None when all is well."""

    def create(self, sandbox_id: str, limits: Limits = DEFAULT_LIMITS) -> str: ...

    def alive(self, ref: str) -> bool: ...

    def list(self) -> list[str]: ...

    def destroy(self, ref: str) -> None:
        """Ends everything inside and forgets the files."""

    def exec(self, ref: str, what: Exec) -> None:
        """Starts it and returns; it outlives the caller. The same process id is started once, however often asked."""

    def read(self, ref: str, process_id: str, offset: int = 0, limit: int = 65536) -> bytes:
        """Its output from `offset` on; empty when there is no more yet."""

    def wait(self, ref: str, process_id: str, offset: int, timeout: float) -> bool:
        """Until there is output past `offset` or it has ended (True), or time is up (False)."""

    def poll(self, ref: str, process_id: str) -> Exit | None:
        """None while it runs. Once it says how it ended, its output is complete."""

    def stop(self, ref: str, process_id: str) -> None:
        """Ends everything the command started, and returns when it has ended."""

    def send(self, ref: str, process_id: str, key: str, data: bytes) -> None:
        """Adds to what the command reads on its standard input; once per key, whoever asks and however often."""

    def close_input(self, ref: str, process_id: str) -> None:
        """After what was sent, its standard input ends."""

    def snapshot(self, ref: str, bare: Path) -> Snapshot: ...

    def restore(self, ref: str, bare: Path, tree: str) -> None: ...

    def pack(self, ref: str, bare: Path, folder: str, hide: Callable[[bytes], bytes] | None = None) -> str:
        """A folder of the home as a tree of the repository; the empty tree where there is none.

        `hide` takes out of each file what nobody may read, before it is written there.
        """

    def unpack(self, ref: str, bare: Path, folder: str, tree: str) -> None:
        """Makes that folder of the home hold the tree."""

    def track(self, ref: str, bare: Path, branch: str, commit: str) -> None:
        """Have git inside compare the tree with this commit, as the head of the branch. While nothing runs there."""

    def arm(self, ref: str) -> None:
        """From here on, remember which files of the tree are read."""

    def reads(self, ref: str) -> set[str] | None:
        """Paths read since `arm`; None where this machine cannot tell."""
