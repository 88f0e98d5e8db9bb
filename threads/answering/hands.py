"""Which tools a bot has in its hands: those that it has x on, of the installation and of the house."""

import logging

from pydantic_ai import ToolDefinition

from houses.capabilities import resolve_capabilities
from houses.refusals import Refused
from houses.tenancy import inside
from houses.tools import BUILTIN, HTTP, MCP, Tool
from threads.answering.calling import Builtin, Callee, Work
from threads.answering.over_http import Called
from threads.answering.work import VERBS

logger = logging.getLogger(__name__)
MOST = 120  # tools that providers take in one request


class Hands:
    """The tools by the name that the model calls them by, and the names of those that are away."""

    def __init__(self, work: Work) -> None:
        self.tools: dict[str, Callee] = {}
        self.away: list[str] = []
        with inside(work.answer.house_id):
            rows = resolve_capabilities(work.bot).tools
        for row in rows:
            self._take(row, work)

    def definitions(self) -> list[ToolDefinition]:
        return [
            ToolDefinition(name=one.name, description=one.description, parameters_json_schema=one.schema, strict=False)
            for one in list(self.tools.values())[:MOST]
        ]

    def _take(self, row: Tool, work: Work) -> None:
        if row.kind == BUILTIN and row.name in VERBS:
            self._add(Builtin(row, *VERBS[row.name]))
        elif row.kind == HTTP:
            self._add(Called(row))
        elif row.kind == MCP:
            from threads.answering.over_mcp import offered  # its library is for houses that have such servers

            try:
                for one in offered(row, work):
                    self._add(one)
            except Refused as refused:
                logger.warning("the tools of %s are away: %s", row.pk, refused.detail)
                self.away.append(row.name)  # what a server says is never an instruction

    def _add(self, tool: Callee) -> None:
        self.tools.setdefault(tool.name, tool)
