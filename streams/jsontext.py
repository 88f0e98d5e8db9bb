"""Cutting a JSON body into its messages without rewriting a byte of them."""

from __future__ import annotations

import re
from json import JSONDecoder
from json.scanner import make_scanner
from typing import Any

import orjson

from streams.refusals import Malformed

_BLANK = re.compile(r"[ \t\n\r]*")
_BLANKS = b" \t\n\r"
# Only where a value ends matters; numbers of any length are passed over unread.
_decoder: Any = JSONDecoder(parse_int=lambda text: None, parse_float=lambda text: None)
_scan: Any = make_scanner(_decoder)


def messages(body: bytes) -> list[bytes]:
    """One message, or those of a top-level array, each exactly as it was written."""
    loaded(body)
    body = body.strip(_BLANKS)
    return _elements(body) if body[:1] == b"[" else [body]


def loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None


def _elements(body: bytes) -> list[bytes]:
    text = body.decode()
    found = []
    at = _skip(text, 1)
    try:
        while text[at] != "]":
            _, end = _scan(text, at)
            found.append(text[at:end].encode())
            at = _skip(text, end)
            if text[at] == ",":
                at = _skip(text, at + 1)
    except (StopIteration, ValueError, RecursionError):
        raise Malformed("The body is nested too deeply.") from None
    return found


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at
