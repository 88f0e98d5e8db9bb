"""What a request may carry: JSON that Postgres can keep, or bytes, and not too much of either."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any, Protocol

from django.conf import settings
from rest_framework.parsers import BaseParser

from houses.refusals import LARGEST_FILE, Invalid, TooLarge


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes: ...


class JSONText(BaseParser):
    """JSON in UTF-8, up to the size of a form. REST framework's own parser reads on without end."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = at_most(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE or LARGEST_FILE)
        try:
            value = json.loads(raw.decode())
            _require_keepable(value)
        except UnicodeDecodeError as wrong:
            raise Invalid("The body is not valid UTF-8.") from wrong
        except RecursionError as wrong:
            raise Invalid("The body is nested too deeply.") from wrong
        except ValueError as wrong:
            raise Invalid(f"The body is not JSON: {wrong}.") from wrong
        return value


def at_most(stream: Readable, limit: int) -> bytes:
    """Everything, unless there is more than `limit`. A length is not believed: chunked bodies have none."""
    parts: list[bytes] = []
    left = limit + 1
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    if not left:
        raise TooLarge(f"That is more than {limit // 1024 // 1024} MB, which is what fits here.")
    return b"".join(parts)


def _require_keepable(value: Any) -> None:
    """Refuse what JSON can say and Postgres cannot keep: NUL, halves of surrogate pairs, numbers without end."""
    for leaf in _leaves(value):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise Invalid("The body has a number that is not a finite one.")
        if isinstance(leaf, str) and "\0" in leaf:
            raise Invalid("The body has a NUL character in it.")
        if isinstance(leaf, str) and not _is_unicode(leaf):
            raise Invalid("The body has characters that are not valid Unicode.")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for below in value:
            yield from _leaves(below)
    else:
        yield value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
