"""Particulars: JSON objects that records carry, kept small, plain and without secrets."""

import json
import re
from collections.abc import Iterator
from typing import Any

from houses.refusals import Invalid
from houses.texts import UNFIT

LONGEST = 64 * 1024  # characters, as JSON
DEEPEST = 20
TELLS = re.compile(
    r"(token|password|passwd|passphrase|secret|apikey|privatekey|accesskey|signingkey|credentials?|authorization|bearer|cookie)$"
)
LOOKS_SECRET = re.compile(
    r"://[^/@\s]*:[^/@\s]*@"  # a password in an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(gh[pousr]_|github_pat_|xox[abprs]-|sk-|glpat-|arbe_|AKIA)[A-Za-z0-9_-]{12}"
)


def particulars(given: Any, where: str) -> dict[str, Any]:
    """The object, if the database keeps it as it is and nothing in it looks like a secret. Raises `Invalid`."""
    keepable(given, where)
    for place, value in _places(given):
        if place and TELLS.search(re.sub(r"[^a-z]", "", place.lower())):
            raise Invalid(
                f"{where}: `{_shown(place)}` is a name for a secret, and everybody in the house reads this. "
                "Keep the value under Settings → Secrets and bind it under Settings → Bindings."
            )
        if isinstance(value, str) and LOOKS_SECRET.search(value):
            raise Invalid(
                f"{where}: a value in it looks like a password or a key, and everybody in the house reads this. "
                "Keep it under Settings → Secrets and bind it under Settings → Bindings."
            )
    return dict(given)


def keepable(given: Any, where: str) -> dict[str, Any]:
    """The object, if the database keeps it as it is. Raises `Invalid`."""
    if not isinstance(given, dict):
        raise Invalid(f"{where}: this is an object, like {{}}.")
    for place, value in _places(given, where):
        if any(isinstance(text, str) and UNFIT.search(text) for text in (place, value)):
            raise Invalid(f"{where}: there is a NUL or half of a character in it.")
    try:
        size = len(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError) as wrong:
        raise Invalid(f"{where}: there is something in it that JSON cannot say.") from wrong
    if size > LONGEST:
        raise Invalid(f"{where}: that is more than {LONGEST // 1024} kB.")
    return given


def object_from(text: str, where: str) -> dict[str, Any]:
    """What a person wrote into a form, as JSON; nothing at all is an empty object. Raises `Invalid`."""
    try:
        return keepable(json.loads(text) if text.strip() else {}, where)
    except RecursionError as wrong:
        raise Invalid(f"{where}: this is nested too deeply.") from wrong
    except json.JSONDecodeError as wrong:
        raise Invalid(
            f"{where}: this is not JSON: {wrong.msg.lower()}, line {wrong.lineno}, column {wrong.colno}."
        ) from wrong
    except ValueError as wrong:  # a number with thousands of digits
        raise Invalid(f"{where}: this is not JSON that can be kept.") from wrong


def _places(given: Any, where: str = "config") -> Iterator[tuple[str, Any]]:
    """Every value with the name it stands under, whatever the depth, up to a limit."""
    waiting: list[tuple[str, Any, int]] = [("", given, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if depth > DEEPEST:
            raise Invalid(f"{where}: this is nested more than {DEEPEST} deep.")
        yield name, value
        if isinstance(value, dict):
            waiting += [(str(key), below, depth + 1) for key, below in value.items()]
        elif isinstance(value, list):
            waiting += [("", below, depth + 1) for below in value]


def _shown(name: str) -> str:
    return name[:40].replace("`", "'")
