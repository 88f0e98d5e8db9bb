"""What the three ways of speaking with a model have in common."""

import re
import uuid
from typing import Any

from tests.agents.scenarios import MARKER, Answer, Told

Piece = tuple[str, dict[str, Any] | str]  # the name of a server-sent event, if it has one, and its data
ADDED = re.compile(r"<(system-reminder|environment_context)>.*?</\1>", re.DOTALL)
PIECES = 1 << 20  # an answer is streamed in words, a long one in larger pieces


def text_of(content: Any) -> str:
    """What a message or a result says, however it is packed."""
    if isinstance(content, str):
        return content
    parts = [one for one in content or [] if isinstance(one, dict)]
    return "\n".join(one["text"] for one in parts if isinstance(one.get("text"), str))


def words(text: str) -> list[str]:
    if len(text) > 10_000:
        return [text[at : at + PIECES] for at in range(0, len(text), PIECES)]
    return re.findall(r"\s*\S+|\s+$", text)


def fresh(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:12]}"


def error(given: Answer) -> dict[str, Any]:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}
    said = {"type": kinds.get(given.status, "api_error"), "message": given.text, "code": None}
    return {"type": "error", "error": said}


class Telling:
    """Gathers a request's messages, in the order in which they were said."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.results: list[str] = []
        self.everything: list[str] = []

    def user(self, text: str) -> None:
        """What a program adds by itself counts for nothing, unless somebody's marker is in it."""
        self.everything.append(text)
        own = ADDED.sub("", text).strip() or (text if MARKER.search(text) else "")
        if own:
            self.users.append(own)
            self.results = []

    def result(self, content: Any) -> None:
        self.results.append(text_of(content))
        self.everything.append(self.results[-1])

    def told(self, tools: dict[str, dict[str, Any]]) -> Told:
        return Told(self.users, self.results, tools, "\n".join(self.everything))
