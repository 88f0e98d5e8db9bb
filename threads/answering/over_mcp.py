"""The tools of the house's MCP servers: asked what they offer when an answer begins, and called one by one."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from django.conf import settings
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from houses.refusals import Refused
from houses.tools import Tool
from threads.answering.calling import UNKNOWN, Begun, Result, Work, cut
from threads.answering.over_http import Unreachable
from threads.answering.reaching import client, refusal_in

T = TypeVar("T")
LOOK, PATIENCE = 15.0, 300.0  # seconds for the list of tools, and for a call
MOST = 64  # tools of one server
TROUBLE = (httpx2.HTTPError, httpx2.InvalidURL, MCPError, OSError, TimeoutError, ValueError)
NAME = 64  # characters of a tool's name, as models that call tools want it


@dataclass(frozen=True)
class Offered:
    """One tool of a server."""

    row: Tool
    theirs: str
    description: str
    schema: dict[str, Any]
    twice: bool  # said twice, it does it once

    @property
    def name(self) -> str:
        return re.sub(r"[^A-Za-z0-9_-]", "_", f"{self.row.name}__{self.theirs}")[:NAME]

    def begin(self, work: Work, arguments: dict[str, Any]) -> Result | Begun:
        return Begun()

    def finish(self, work: Work, arguments: dict[str, Any], note: dict[str, Any], *, again: bool, key: str) -> Result:
        if again and not self.twice:
            return UNKNOWN
        headers = work.filled(self.row.config.get("headers", {}))

        async def call() -> Result:
            async with _connected(self.row.config, headers, PATIENCE) as server:
                came = await server.call_tool(self.theirs, arguments, read_timeout_seconds=PATIENCE)
                return Result(cut(_text_of(came)), is_error=bool(came.is_error))

        return _asked(self.row, work, call, PATIENCE)


def offered(row: Tool, work: Work) -> list[Offered]:
    """What a server offers now. Raises `Refused`."""
    headers = work.filled(row.config.get("headers", {}))

    async def look() -> list[Any]:
        async with _connected(row.config, headers, LOOK) as server:
            return list((await server.list_tools()).tools)

    return [_offer(row, tool) for tool in _asked(row, work, look, LOOK)[:MOST]]


def _offer(row: Tool, tool: Any) -> Offered:
    hints = tool.annotations
    twice = bool(hints and (hints.read_only_hint or hints.idempotent_hint))
    schema = dict(tool.input_schema or {"type": "object"})
    return Offered(row, tool.name, (tool.description or row.description)[:2000], schema, twice)


def _asked(row: Tool, work: Work, what: Callable[[], Awaitable[T]], seconds: float) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await what()

    try:
        return work.await_(bounded)
    except (Refused, BaseExceptionGroup, *TROUBLE) as error:
        if refused := refusal_in(error):
            raise refused from None
        first = _first(error)
        if isinstance(first, TROUBLE):
            said = str(first)[:200] or type(first).__name__
            raise Unreachable(f"The server of {row.name} does not answer as it should: {said}") from error
        raise first from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def _connected(config: dict[str, Any], given: dict[str, str], patience: float) -> AsyncIterator[Client]:
    def connections(
        headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
    ) -> httpx2.AsyncClient:
        made = client(inside_too=settings.LOCAL_TOOLS, patience=patience)
        made.headers.update({"User-Agent": "arbe", **given})
        return made

    if config["transport"] == "sse":
        async with Client(sse_client(config["url"], httpx_client_factory=connections)) as server:
            yield server
    else:
        async with (
            connections() as http,
            Client(streamable_http_client(config["url"], http_client=http)) as server,
        ):
            yield server


def _text_of(came: Any) -> str:
    """What it answered, as text; of anything else, that it is there."""
    said = [getattr(part, "text", None) or f"[{getattr(part, 'type', 'something')}]" for part in came.content]
    if not said and came.structured_content is not None:
        return str(came.structured_content)
    return "\n".join(said)
