"""Reading what a program printed, which may be anything: what is not there, or is of another kind, is empty."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, cast

import orjson

ROOM = 64 * 1024  # characters of what a tool printed
SAID_ROOM = 256 * 1024  # characters of one message
ARGUMENT_ROOM = 16 * 1024  # characters of one argument of a tool
MOST = 10**9  # tokens of a message, or milliseconds; whatever is more was made up
MOST_USD = 10_000.0  # that one message costs
TITLE = 200
REPLACED = "\N{REPLACEMENT CHARACTER}"
MESSAGE = re.compile(r'"message":\s*"((?:[^"\\]|\\.){1,2000})"')
INSIDE = re.compile(r"[,(]?\s*(?:url: )?(?:https?://)?127\.0\.0\.1(?::\d+)?\S*")
TITLES = ("command", "cmd", "path", "file_path", "notebook_path", "pattern", "query", "url", "description", "prompt")


def parse(line: bytes) -> dict[str, Any] | None:
    """A line that is a JSON object; None for all others."""
    line = line.strip()
    if not line.startswith(b"{"):
        return None
    try:
        said = orjson.loads(line)
    except ValueError:
        said = _half_a_character(line)
    return said if isinstance(said, dict) else None


def _half_a_character(line: bytes) -> Any:
    """JavaScript cuts texts between the halves of a character, and writes the half down."""
    if b"\\ud" not in line and b"\\uD" not in line:
        return None
    try:
        return orjson.loads(json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def within(value: Any, *path: str) -> Any:
    """What is at this path of objects, or None."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value: Any, *path: str) -> str:
    found = within(value, *path)
    return found if isinstance(found, str) else ""


def amount(value: Any, *path: str) -> int:
    found = within(value, *path)
    return as_tokens(found) if _is_number(found) else 0


def as_tokens(found: float) -> int:
    """So many as there can have been: somebody's figure decides what is noted, not whether anything is."""
    return min(max(int(found), 0), MOST)


def decimal(value: Any, *path: str) -> float | None:
    found = within(value, *path)
    return float(min(max(found, 0), MOST)) if _is_number(found) else None


def whole(value: Any, *path: str) -> int | None:
    """A small number that may be negative, as an exit code is."""
    found = within(value, *path)
    return int(found) if _is_number(found) and abs(found) < 2**31 else None


def fields(value: Any, *path: str) -> dict[str, Any]:
    found = within(value, *path)
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def several(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of a list."""
    found = within(value, *path)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def texts(blocks: Iterable[dict[str, Any]], kind: str = "text") -> str:
    """The text of a message's blocks of one kind."""
    return "\n".join(said for block in blocks if text(block, "type") == kind and (said := text(block, "text")))


def content(value: Any, *path: str) -> str:
    """A text, or the text of a list of blocks: programs write both."""
    return text(value, *path) or texts(several(value, *path))


def clean(said: str) -> str:
    """Without the one character that a database does not take."""
    return said.replace("\0", REPLACED)


def cut(said: str, room: int = ROOM) -> tuple[str, int]:
    """Its beginning and its end where it is longer than there is room, and how many characters are left out."""
    left_out = len(said) - room
    if left_out <= 0:
        return clean(said), 0
    head = room // 2
    middle = f"\n… {left_out:,} characters are left out …\n"
    return clean(said[:head] + middle + said[head + left_out :]), left_out


def one_line(said: str) -> str:
    line = clean(next((line for line in said.strip()[: TITLE * 20].splitlines() if line.strip()), "")).strip()
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"


def reason(error: str) -> str:
    """What a provider said was wrong, in one line, without the address of the door that it went through."""
    start = error[: TITLE * 20]
    message = MESSAGE.search(start)
    line = f"{start[: message.start()].partition('{')[0]}{message[1]}" if message else start
    return one_line(INSIDE.sub("", line))


def title(tool: str, arguments: dict[str, Any]) -> str:
    """What a call does, in one line."""
    named = (text(arguments, name) for name in TITLES)
    return one_line(next((said for said in named if said.strip()), "")) or one_line(tool)


def short(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments with the long ones cut; more than there is room for are left out."""
    room, kept = ROOM, {}
    for name, value in arguments.items():
        said = value if isinstance(value, str) else orjson.dumps(value).decode().replace("\\u0000", REPLACED)
        room -= min(len(said), ARGUMENT_ROOM) + len(name)
        if room < 0:
            break
        whole_value = not isinstance(value, str) and len(said) <= ARGUMENT_ROOM and REPLACED not in said
        kept[clean(name)] = value if whole_value else cut(said, ARGUMENT_ROOM)[0]
    return kept


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
