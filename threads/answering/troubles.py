"""What went wrong with a model or its provider: a code as runs have them, and a sentence with what to do."""

from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic_ai.exceptions import (
    ModelAuthenticationError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
)

from threads.answering.thinking import PATIENCE

# By the first that fits: what the libraries call it, our code, and the sentence.
KNOWN: tuple[tuple[type[Exception], str, str], ...] = (
    (ModelNotFoundError, "no_such_model", "{address} does not know the model {model}: {said} See Settings → Agents."),
    (ModelContextWindowExceededError, "too_long", "This is more than {model} reads: {said} Go on in a new thread."),
    (ModelQuotaExceededError, "provider_quota", "The account at {bot}'s provider is used up: {said} Top it up there."),
    (ModelRequestRejectedError, "provider_refused", "The provider of {bot}'s model refuses the request: {said}"),
)


@dataclass(frozen=True)
class Trouble:
    """How an answer ends that got none, and whether to ask again before."""

    code: str
    sentence: str
    again: bool = False
    after: float = 0.0  # seconds, as the provider wants it


def trouble(error: BaseException, bot: str, recipe: dict[str, Any]) -> Trouble:
    """The trouble, for whoever can mend it."""
    told = {"bot": bot, "said": _said(error), "address": recipe.get("address"), "model": recipe.get("model")}
    if isinstance(error, ModelAuthenticationError):
        return Trouble("provider_auth", _refused_key(bot, recipe.get("key_secret", ""), _said(error)))
    for kind, code, sentence in KNOWN:
        if isinstance(error, kind):
            return Trouble(code, sentence.format(**told))
    if _was_silent(error):
        return Trouble("provider_down", f"{bot}'s model said nothing for {PATIENCE / 60:.0f} minutes; ask again later.")
    sentence = "The provider of {bot}'s model cannot be used right now: {said} Ask again later, or see {address}."
    after = getattr(error, "retry_after", None) or 0.0
    return Trouble("provider_down", sentence.format(**told), again=not _is_refusal(error), after=float(after))


def _was_silent(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, httpx2.ReadTimeout):
        error = error.__cause__ or error.__context__
    return error is not None


def _refused_key(bot: str, secret: str, said: str) -> str:
    if secret:
        return (
            f"The provider of {bot}'s model refuses its key: {said} "
            f"To go on, put the right one into the secret {secret} under Settings → Secrets."
        )
    return (
        f"The provider of {bot}'s model wants a key, and {bot} has none: {said} "
        "To go on, add one under Settings → Secrets and name it under Settings → Agents."
    )


def _is_refusal(error: BaseException) -> bool:
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 409, 425, 429)


def _said(error: BaseException) -> str:
    """What the other side said, in one line that ends."""
    said = str(error) or type(error).__name__
    if isinstance(error, ModelHTTPError):
        body: Any = error.body
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            body = body["error"]
        message = body.get("message") if isinstance(body, dict) else body
        said = f"{error.status_code} {message or ''}"
    line = " ".join(str(said).split())[:300].rstrip(".")
    return f"{line}."
