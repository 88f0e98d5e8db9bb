"""Who is called by name in a text: `@Name`, however it is written, the longest name that fits."""

import re
from collections.abc import Iterable

from houses.agents import Agent

# What is quoted as code is not said to anybody.
_CODE = re.compile(r"(?ms)^(```|~~~).*?(^\1|\Z)|`[^`\n]*`")
_BEGINS = re.compile(r"(?<![\w@.])@")


def mentioned(text: str, names: Iterable[str]) -> list[str]:
    """Those of these names that the text calls, in the order in which it does, each of them once."""
    text = _CODE.sub(lambda code: " " * len(code[0]), text)
    known = {name.casefold(): name for name in names if name}
    called = (_longest(text[begun.end() :], known) for begun in _BEGINS.finditer(text))
    return list(dict.fromkeys(name for name in called if name))


def called(text: str, agents: Iterable[Agent]) -> list[Agent]:
    """Those of these agents that the text calls; of several with one name, all."""
    named: dict[str, list[Agent]] = {}
    for agent in agents:
        named.setdefault((agent.name or "").casefold(), []).append(agent)
    return [agent for name in mentioned(text, named) for agent in named[name]]


def _longest(rest: str, known: dict[str, str]) -> str:
    rest = rest.casefold()
    fits = [name for name in known if rest.startswith(name) and not re.match(r"\w", rest[len(name) :])]
    return known[max(fits, key=len)] if fits else ""
