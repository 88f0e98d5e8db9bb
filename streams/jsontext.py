"""Cutting a JSON body into its messages without rewriting a byte of them.

Two passes: orjson says whether all of it is JSON (strict UTF-8, no lone surrogates, no number beyond a double), then
msgspec finds where each element lies without building it. Of the 24 µs that a list of 50 messages of 200 bytes takes,
14 are orjson's; cutting with Python's own scanner took 79 where msgspec takes 10.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from streams.refusals import Malformed, TooLarge

MOST = 50_000  # messages of one request
_BLANKS = b" \t\n\r"
_cut = msgspec.json.Decoder(list[msgspec.Raw]).decode


def messages(body: bytes) -> list[bytes]:
    """One message, or those of a top-level array, each exactly as it was written, without the blanks around it."""
    body = body.strip(_BLANKS)
    if not body.startswith(b"["):
        loaded(body)
        return [body]
    found = _elements(body)
    require_few(len(found), MOST)
    loaded(body)
    return list(map(bytes, found))


def few(body: bytes, most: int) -> Any:
    """What the body says, unless it is a list of more than so many, which is counted before any of it is built."""
    if body.count(b",") >= most and body.lstrip(_BLANKS).startswith(b"["):
        require_few(len(_elements(body)), most)
    return loaded(body)


def require_few(count: int, most: int) -> None:
    if count > most:
        raise TooLarge(f"One request may bring {most:,} messages here, and this one brings {count:,}; send several.")


def _elements(body: bytes) -> list[msgspec.Raw]:
    try:
        return _cut(body)
    except RecursionError:
        raise Malformed("The body is nested too deeply.") from None
    except msgspec.DecodeError as error:
        loaded(body)  # which says it better
        raise Malformed(f"The body is not valid JSON: {error}.") from None


def loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
