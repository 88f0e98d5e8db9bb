"""The things that codex does in a turn. `app-server` writes their names as `likeThis`, and `exec` as `like_this`."""

import re
import shlex
from typing import Any

from threads.runtimes import saying
from threads.runtimes.listening import Listening

TOOLS = {
    "command_execution": "shell",
    "file_change": "apply_patch",
    "mcp_tool_call": "mcp",
    "dynamic_tool_call": "tool",
    "collab_agent_tool_call": "agent",
    "web_search": "web_search",
    "image_view": "view_image",
    "image_generation": "image",
    "sleep": "sleep",
}
FAILED = ("failed", "declined", "error")


def start(heard: Listening, item: dict[str, Any]) -> None:
    """It begins to do something."""
    item = _named_alike(item)
    if item["type"] in TOOLS:
        heard.calls(saying.text(item, "id"), _tool(item), _arguments(item), _title(item))


def finish(heard: Listening, item: dict[str, Any]) -> None:
    """It has done something, or said something, or read what was said to it."""
    item = _named_alike(item)
    kind = item["type"]
    if kind == "agent_message":
        heard.says(saying.text(item, "text"))
    elif kind == "user_message":
        heard.takes(saying.content(item, "content"))
    elif kind in TOOLS:
        _result(heard, item)


def _result(heard: Listening, item: dict[str, Any]) -> None:
    thousandths = saying.decimal(item, "duration_ms")
    code = saying.whole(item, "exit_code")
    failed = saying.text(item, "status") in FAILED or item.get("success") is False or bool(code)
    heard.hears_back(
        saying.text(item, "id"),
        _tool(item),
        _output(item),
        is_error=failed,
        exit_code=code,
        seconds=None if thousandths is None else thousandths / 1000,
    )


def _output(item: dict[str, Any]) -> str:
    if item["type"] == "file_change":
        return "\n".join(_change(change) for change in saying.several(item, "changes"))
    printed = saying.text(item, "aggregated_output") or saying.content(item, "content_items")
    answer = saying.content(item, "result", "content") or saying.text(item, "result")
    return printed or answer or saying.text(item, "error", "message")


def _change(change: dict[str, Any]) -> str:
    kind = saying.text(change, "kind", "type") or saying.text(change, "kind")
    return f"{kind} {saying.text(change, 'path')}\n{saying.text(change, 'diff')}".strip()


def _tool(item: dict[str, Any]) -> str:
    named = saying.text(item, "tool")
    server = saying.text(item, "server")
    return f"{server}.{named}" if server and named else named or TOOLS[item["type"]]


def _arguments(item: dict[str, Any]) -> dict[str, Any]:
    kind = item["type"]
    if kind == "command_execution":
        return {"command": _command(item)}
    if kind == "file_change":
        return {"paths": [saying.text(change, "path") for change in saying.several(item, "changes")]}
    return saying.fields(item, "arguments") or {
        name: item[name] for name in ("query", "path", "prompt") if isinstance(item.get(name), str)
    }


def _title(item: dict[str, Any]) -> str:
    if item["type"] == "file_change":
        paths = [saying.text(change, "path") for change in saying.several(item, "changes")]
        return saying.one_line(", ".join(paths))
    return ""


def _command(item: dict[str, Any]) -> str:
    """What it runs, without the shell around it."""
    said = saying.text(item, "command")
    if len(said) <= saying.ARGUMENT_ROOM and re.match(r"\S*sh -l?c ", said):
        try:
            words = shlex.split(said)
        except ValueError:
            return said
        if len(words) == 3:
            return words[2]
    return said


def _named_alike(item: dict[str, Any]) -> dict[str, Any]:
    alike = {_snake(name): value for name, value in item.items()}
    return {**alike, "type": _snake(saying.text(item, "type"))}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name[:80]).lower()
