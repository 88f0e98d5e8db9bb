"""What a tool is for a bot that answers: begun in the transaction that writes it down, and seen through outside of it.

So a call is begun once, whoever goes on with it. What cannot be begun in a transaction (another server) says by
itself whether it may be called again where nobody knows what came of the first time.
"""

import json
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from houses.agents import Agent
from houses.capabilities import resolve_capabilities, resolve_secrets
from houses.deliveries import SecretDelivery
from houses.refusals import Forbidden, Refused
from houses.rights import may
from houses.scopes import DEEDS, Scope, X, kind_of
from houses.secrets import Secret
from houses.tenancy import inside
from houses.tool_addresses import SECRET
from houses.tools import READ_FILE, RECALL, REMEMBER, Tool
from threads.answering.elsewhere import awaited
from threads.answering.watch import Watch
from threads.answers import Answer
from threads.thread import Thread

T = TypeVar("T")
OF_THE_HOUSE = {READ_FILE, REMEMBER, RECALL}  # what these do takes r or w on the house of whoever it is done for
LONGEST = 16_000  # characters of a result that the model reads, and the thread shows


@dataclass(frozen=True)
class Result:
    """What a call came to."""

    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Begun:
    """It goes on outside of the transaction; the note says what to look for."""

    note: dict[str, Any] = field(default_factory=dict)


class MissingCredential(Refused):
    """A tool needs a secret that nobody gave this bot."""

    code = "missing_secret"


@dataclass
class Work:
    """An answer and whoever looks after it, for the tools that it calls."""

    answer: Answer
    watch: Watch
    hide: Callable[[dict[str, str]], None]
    values: dict[str, str] = field(default_factory=dict, repr=False)  # secrets that were opened for it

    @property
    def bot(self) -> Agent:
        return self.answer.agent

    def require_tool(self, tool: Tool) -> None:
        """Refuse to call it where the bot may not, or whoever it is done for. Raises `Forbidden`."""
        self.require(X, tool, of=[self.bot] if tool.pk in OF_THE_HOUSE else None)

    def require(self, bit: str, scope: Scope, of: list[Agent] | None = None) -> None:
        """Refuse what the bot may not do, or whoever it is done for: a bot is no way round. Raises `Forbidden`."""
        for agent in of or (self.bot, *self.answer.askers()):
            if not may(agent, bit, scope):
                verb = DEEDS[kind_of(scope).word][bit][0]
                raise Forbidden(f"{agent} may not {verb} this {kind_of(scope).word}, and nobody does it for them.")

    @property
    def thread(self) -> Thread:
        """As it is now. Ask inside the house."""
        return Thread.objects.get(pk=self.answer.thread_id)

    def await_(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for somebody else, outside of any transaction."""
        return awaited(work, self.watch)

    def open(self, secret: Secret) -> str:
        """A value, for this answer; written down, and hidden from here on. Needs a transaction."""
        self.values[secret.name] = value = secret.reveal()
        SecretDelivery.objects.note(
            {secret.name: secret.version},
            command_id=self.answer.pk,
            agent=self.bot,
            thread_id=self.answer.thread_id,
            environment_id="",
        )
        self.hide(self.values)
        return value

    def filled(self, headers: dict[str, str]) -> dict[str, str]:
        """Headers with the secrets that they name, of those that bindings give this bot. Raises `Refused`."""
        wanted = {name for value in headers.values() for name in SECRET.findall(value)}
        if not wanted:
            return dict(headers)
        with inside(self.answer.house_id):
            resources = resolve_capabilities(self.bot).resources
            given = {one.secret.name: one.secret for one in resolve_secrets(self.bot, resources)}
            if missing := sorted(wanted - set(given)):
                raise MissingCredential(
                    f"This tool needs the secret {missing[0]}, which no binding gives {self.bot} for a resource that "
                    "it may use; see Settings → Bindings."
                )
            values = {name: self.values.get(name) or self.open(given[name]) for name in sorted(wanted)}
        return {name: SECRET.sub(lambda found: values[found[1]], value) for name, value in headers.items()}


class Callee(Protocol):
    """One thing that the model can call."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def schema(self) -> dict[str, Any]: ...

    @property
    def row(self) -> Tool:
        """x on it is the right to."""

    def begin(self, work: Work, arguments: dict[str, Any]) -> Result | Begun:
        """In the transaction that writes it down. Raises `Refused`."""

    def finish(self, work: Work, arguments: dict[str, Any], note: dict[str, Any], *, again: bool, key: str) -> Result:
        """What became of it; `again` if somebody began this before and nobody knows. Raises `Refused`."""


@dataclass(frozen=True)
class Builtin:
    """A tool of the installation: a verb that people have too, and what to wait for after it."""

    row: Tool
    first: Callable[[Work, dict[str, Any]], Result | Begun]
    then: Callable[[Work, dict[str, Any]], Result] | None = None

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def description(self) -> str:
        return self.row.description

    @property
    def schema(self) -> dict[str, Any]:
        return dict(self.row.schema)

    def begin(self, work: Work, arguments: dict[str, Any]) -> Result | Begun:
        self.row.check_call(arguments)
        return self.first(work, arguments)

    def finish(self, work: Work, arguments: dict[str, Any], note: dict[str, Any], *, again: bool, key: str) -> Result:
        return self.then(work, note) if self.then else Result("Done.")


UNKNOWN = Result(
    "arbe was interrupted while this was being called, and nobody knows whether it took effect. Find out before you "
    "call it again, or say so.",
    is_error=True,
)


def cut(text: str, longest: int = LONGEST) -> str:
    """The beginning and the end of what is too long."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"


def as_data(tool: str, text: str) -> str:
    """As the model is given it: with a fence around it that what is inside cannot close."""
    inner = re.sub(r"<(?=/?\s*data\b)", "&lt;", text, flags=re.IGNORECASE)
    return f"<data from={json.dumps(tool)}>\n{inner}\n</data>"
