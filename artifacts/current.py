"""What environments and bots are now, to compare with what they were when something was made."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from artifacts.recipes import Recipe, is_task
from houses.bots import Bot


@dataclass(frozen=True)
class SetUp:
    """How a bot is set up, as far as that decides what comes of a task."""

    runtime: str
    model: str
    system_prompt: str

    @classmethod
    def of(cls, frozen: Mapping[str, Any]) -> Self:
        return cls(*(str(frozen.get(one.name, "")) for one in fields(cls)))

    @property
    def digest(self) -> str:
        told = "\0".join(getattr(self, one.name) for one in fields(self))
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Current:
    """Environments by their id, as digests; and bots by theirs."""

    environments: Mapping[str, str] = field(default_factory=dict)
    bots: Mapping[str, SetUp] = field(default_factory=dict)

    @classmethod
    def with_(cls, environments: Mapping[str, str] | None) -> Self:
        """With the bots as the house has set them up; one that is gone makes nothing stale."""
        bots = Bot.objects.select_related("agent").exclude(model="")
        return cls(environments or {}, {str(bot.agent_id): SetUp.of(bot.frozen()) for bot in bots})

    def digests(self) -> Iterator[tuple[str, str, str]]:
        """Which column of derivations names it, what it says there, and its digest now."""
        for pk, digest in self.environments.items():
            yield "environment", pk, digest
        for pk, bot in self.bots.items():
            yield "bot", pk, bot.digest


def bot_of(recipe: Recipe) -> tuple[str, str]:
    """The bot that a recipe is for, and the digest of what it was then; nothing for a command."""
    if not is_task(recipe) or not recipe.get("bot"):
        return "", ""
    return str(recipe["bot"]), SetUp.of(recipe).digest
