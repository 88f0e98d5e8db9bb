"""What `codex exec --json` prints: the same turn told in other words, with no way to say anything to it."""

import re
from typing import Any

from threads.runtimes import saying
from threads.runtimes.codex_items import finish, start
from threads.runtimes.listening import Listening
from threads.runtimes.outcome import DONE, ERROR

STATUS = re.compile(r"unexpected status (\d{3})")
AGAIN = re.compile(r"Reconnecting\.\.\. (\d{1,5})/(\d{1,5})(?: \((.*)\))?", re.DOTALL)


def understand(heard: Listening, said: dict[str, Any]) -> bool:
    """One line of it; False if it is of a kind that is not known."""
    kind = saying.text(said, "type")
    if kind == "thread.started":
        heard.names_session(saying.text(said, "thread_id"))
    elif kind == "turn.started":
        heard.begins()
    elif kind == "item.started":
        start(heard, saying.fields(said, "item"))
    elif kind == "item.completed":
        finish(heard, saying.fields(said, "item"))
    elif kind == "error":
        _troubled(heard, saying.text(said, "message"))
    elif kind == "turn.completed":
        _spent(heard, said)
        heard.ends(DONE)
    elif kind == "turn.failed":
        error = saying.text(said, "error", "message")
        status = STATUS.search(error)
        heard.ends(ERROR, error, int(status[1]) if status else None)
    return kind.startswith(("thread.", "turn.", "item.")) or kind == "error"


def _troubled(heard: Listening, message: str) -> None:
    """Only what is tried again is told here; the rest is said once more by the turn that failed."""
    if again := AGAIN.match(message):
        heard.tries_again(int(again[1]), int(again[2]), None, again[3] or message)


def _spent(heard: Listening, said: dict[str, Any]) -> None:
    """Of the whole session, which is of the run unless it was resumed."""
    usage = saying.fields(said, "usage")
    cached, kept = saying.amount(usage, "cached_input_tokens"), saying.amount(usage, "cache_write_input_tokens")
    read = max(saying.amount(usage, "input_tokens") - cached - kept, 0)
    heard.spends(read=read, wrote=saying.amount(usage, "output_tokens"), cached=cached, kept=kept)
