"""The house's own tools that are one request: the address and the method are the house's, the values the model's."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
from django.conf import settings

from houses.refusals import Invalid, Refused
from houses.tool_addresses import PLACEHOLDER
from houses.tools import Tool
from threads.answering.calling import LONGEST, UNKNOWN, Begun, Result, Work, cut
from threads.answering.reaching import client

PATIENCE = 60.0  # seconds that the other side may be silent
MOST = 1_000_000  # bytes of an answer that are read
AGAIN = ("GET", "PUT", "DELETE")  # said twice, they do it once
IN_QUERY = ("GET", "DELETE")  # what no placeholder takes goes there; else it is the body


class Unreachable(Refused):
    """Nobody answers there."""

    code = "tool_unreachable"


@dataclass(frozen=True)
class Called:
    """A tool of the house, as a bot calls it."""

    row: Tool

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def description(self) -> str:
        return self.row.description

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {}, **self.row.schema}

    def begin(self, work: Work, arguments: dict[str, Any]) -> Result | Begun:
        self.row.check_call(arguments)
        _filled(self.row.config["url"], arguments)
        return Begun()

    def finish(self, work: Work, arguments: dict[str, Any], note: dict[str, Any], *, again: bool, key: str) -> Result:
        config = self.row.config
        if again and config["method"] not in AGAIN:
            return UNKNOWN
        url, left = _filled(config["url"], arguments)
        in_query = config["method"] in IN_QUERY
        ask = {"params": _as_query(left)} if in_query and left else {} if in_query else {"json": left}
        headers = work.filled(config.get("headers", {})) | {"Idempotency-Key": f"{work.answer.pk}-{key}"}
        return work.await_(lambda: _answer(config["method"], url, headers, ask))


async def _answer(method: str, url: str, headers: dict[str, str], ask: dict[str, Any]) -> Result:
    try:
        async with (
            client(inside_too=settings.LOCAL_TOOLS, patience=PATIENCE) as connections,
            connections.stream(method, url, headers={"User-Agent": "arbe", **headers}, **ask) as answer,
        ):
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MOST:
                    break
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise Unreachable(f"It could not be called: {type(error).__name__} {str(error)[:200]}") from error
    return Result(
        f"{answer.status_code} {answer.reason_phrase}\n{_shown(answer, body)}", is_error=not answer.is_success
    )


def _shown(answer: httpx2.Response, body: bytes) -> str:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.is_redirect:
        return "It leads elsewhere, and tools are not followed there."
    if kind.startswith("text/") or kind.endswith(("json", "xml", "yaml", "javascript")) or not kind:
        return cut(body.decode(answer.charset_encoding or "utf-8", "replace"), LONGEST)
    return f"[{kind}, {len(body):,} bytes]"


def _filled(url: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address with its placeholders filled in, and what is left of the arguments."""
    names = PLACEHOLDER.findall(url)
    values = {name: _word(arguments[name]) for name in names}
    if any(value in ("", ".", "..") for value in values.values()):
        raise Invalid("arguments: what goes into the address is not empty, and no dots alone.")
    filled = PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), url)
    return filled, {name: value for name, value in arguments.items() if name not in names}


def _as_query(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [_word(one) for one in value] if isinstance(value, list) else _word(value)
        for name, value in arguments.items()
    }


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
