"""What was done to make a file, frozen: a command that ran, or a task that a bot was given."""

import re
from collections.abc import Mapping
from typing import Any

COMMAND, TASK = "command", "task"
# What makes the result of a task another one. Which program version, provider and key served it does not.
_IDENTITY = ("kind", "runtime", "model", "system_prompt", "prompt", "environment")
# What people are told of a task.
TOLD = ("bot", "bot_name", "runtime", "model", "system_prompt", "prompt")
SHORT = 200  # characters of a prompt on one line
Recipe = Mapping[str, Any]


def is_task(recipe: Recipe) -> bool:
    """A bot did it, rather than a shell."""
    return recipe.get("kind") == TASK


def instructions(recipe: Recipe) -> str:
    """The command, or what the bot was told: all of it."""
    return str(recipe.get("prompt" if is_task(recipe) else "command", ""))


def headline(recipe: Recipe) -> str:
    """The recipe on one line: the command itself, or whom to ask and how that begins."""
    if not is_task(recipe):
        return instructions(recipe)
    line = next((line.strip() for line in instructions(recipe).splitlines() if line.strip()), "")
    return f"ask {maker(recipe)}: {line if len(line) <= SHORT else line[: SHORT - 1] + '…'}"


def maker(recipe: Recipe) -> str:
    """The name of the bot that a task was for."""
    return str(recipe.get("bot_name") or "a bot")


def identity(recipe: Recipe) -> dict[str, Any]:
    """As much of it as decides what comes out. Recipes that agree in this are the same step."""
    return {key: recipe[key] for key in _IDENTITY if key in recipe} if is_task(recipe) else dict(recipe)


def named(recipe: Recipe) -> set[str]:
    """What a recipe names, as far as it may be a path."""
    text = instructions(recipe)
    return mentioned(text) if is_task(recipe) else words(text)


def words(command: str) -> set[str]:
    """What a command's text names, as far as it may be a path."""
    return {word.removeprefix("./") for word in re.split(r"""[\s'"<>|;&()=,:`]+""", command)}


def mentioned(prose: str) -> set[str]:
    """The same for what people write, who put brackets around a path and full stops behind it."""
    return {word.strip("[]{}*_?!.").removeprefix("./") for word in words(prose)} | words(prose)
