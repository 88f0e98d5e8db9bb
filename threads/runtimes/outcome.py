"""How a run ended: what the program said last and the facts of its process, taken together.

The exit code alone says nothing: programs end with 0 after a refused key, and with 1 after a good answer.
"""

import re
from dataclasses import dataclass

from sandboxes.provider import Exit
from threads.runtimes.adapter import CANCELLED, COMPLETED, FAILED, Outcome
from threads.runtimes.saying import clean, one_line, reason

SUMMARY = 2000  # characters
AGAIN = "Say something to go on."
DONE, ERROR, LENGTH, ABORTED, BROKEN = "done", "error", "length", "aborted", "broken"
AUTH = re.compile(r"\b(401|403)\b|unauthorized|authentication|invalid (x-)?api[ _-]key|permission_error", re.IGNORECASE)
BUSY = re.compile(r"\b429\b|rate.?limit|too many requests|quota|usage limit", re.IGNORECASE)
ASKED_WRONG = re.compile(r"\b(400|404|413|422)\b|invalid_request|not_found|bad request|context (window|length)", re.I)
CUT_SHORT = re.compile(r"max_output_tokens|max_tokens|output token (limit|maximum)", re.IGNORECASE)
TELLING = ("wall_time", "cpu_time", "memory", "output_limit", "file_size", "not_started", "lost")


@dataclass(frozen=True, kw_only=True)
class Last:
    """The program's last word: `how` it ended, and what it said about an error (with the provider's status)."""

    how: str
    error: str = ""
    status: int | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a run when it is over."""

    last: Last | None
    said: str  # the last thing the agent said, of any of its messages
    answered: bool  # it said something, or did something
    spoke: bool  # it printed at least one line that is known
    stray: str  # the last line that is not
    model: str


def decide(facts: Facts, exit: Exit | None, *, stop_asked: bool) -> Outcome:  # noqa: A002  # it is the word for it
    summary = summed_up(facts.said)
    last = facts.last
    if last is not None and last.how == DONE and facts.answered:
        return Outcome(COMPLETED, summary=summary)
    if stop_asked:
        return Outcome(CANCELLED, "stopped", "Somebody stopped it.", summary)
    if exit is not None and exit.reason == "stopped":  # and nobody asked for that
        return Outcome(FAILED, "interrupted", f"arbe was stopped. What it made so far is kept. {AGAIN}", summary)
    if last is None:
        return _without_a_word(facts, exit, summary)
    code, sentence = _failure(last, facts.model)
    return Outcome(FAILED, code, sentence, summary)


def summed_up(said: str) -> str:
    """The last thing it said, as far as a card has room."""
    said = clean(said.strip())
    return said if len(said) <= SUMMARY else said[: SUMMARY - 1] + "…"


def _without_a_word(facts: Facts, exit: Exit | None, summary: str) -> Outcome:  # noqa: A002  # as above
    if exit is not None and exit.reason in TELLING:
        return Outcome(FAILED, exit.reason, f"{exit.sentence} What it made so far is kept. {AGAIN}", summary)
    if not facts.spoke:
        how = f" with exit code {exit.code}" if exit is not None and exit.code else ""
        why = f": {one_line(facts.stray)}" if facts.stray else ", and printed nothing"
        told = f"The agent's program ended{how} before it began{why}".rstrip(".")
        return Outcome(FAILED, "crashed", f"{told}. {AGAIN}", summary)
    gone = "The agent's program went away without a last word"
    if exit is not None and exit.code:
        gone += f" (signal {exit.code - 128})" if exit.code > 128 else f" (exit code {exit.code})"
    return Outcome(FAILED, "orphaned", f"{gone}. What it made so far is kept. {AGAIN}", summary)


def _failure(last: Last, model: str) -> tuple[str, str]:
    said = reason(last.error)
    quoted = f" ({said})" if said else ""
    if last.how == DONE:
        return "empty_answer", f"The model {model} answered with nothing. {AGAIN} Or give the bot another model."
    if last.how == LENGTH or CUT_SHORT.search(last.error):
        return "length", f"The model's answer was cut at its longest length. {AGAIN} Ask for smaller steps."
    if last.how == BROKEN:
        return "crashed", f"The agent's program could not begin{quoted}. {AGAIN}"
    if last.how == ABORTED:
        return "aborted", f"The agent broke off what it did{quoted}. {AGAIN}"
    return _refused(last, quoted)


def _refused(last: Last, quoted: str) -> tuple[str, str]:
    status, said = last.status, last.error
    if status in (401, 403) or (status is None and AUTH.search(said)):
        return (
            "provider_auth",
            f"The model's provider refused the key{quoted}. Set the bot's key under Settings → Agents.",
        )
    if status == 429 or (status is None and BUSY.search(said)):
        return "provider_busy", f"The model's provider takes no more requests for now{quoted}. Wait a while. {AGAIN}"
    if status in (400, 404, 413, 422) or (status is None and ASKED_WRONG.search(said)):
        return (
            "provider_refused",
            f"The model's provider does not take the request{quoted}. Look at the bot's model and address.",
        )
    return "provider_down", f"The model's provider did not answer as it should{quoted}. Wait a while. {AGAIN}"
