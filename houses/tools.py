"""Tools: what an agent can call. Those of the installation are everybody's to see; a house adds its own."""

import re
from collections.abc import Iterable
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned
from houses.grants import forgotten_with
from houses.ids import ShortIdField
from houses.particulars import keepable, particulars
from houses.places import House
from houses.refusals import Forbidden, Invalid, NameTaken, NotFound
from houses.rights import permitted
from houses.saying import changed, hold, says, taken_as
from houses.schemas import check, checked_schema
from houses.scopes import PERMISSIONS, R, scope
from houses.standing import require_x
from houses.tenancy import current_house
from houses.texts import text_of, word
from houses.tool_addresses import http_config, mcp_config

BUILTIN, MCP, HTTP = "builtin", "mcp", "http"
# The tools of the installation. Their id is their name, so that a right on one is asked about without looking it up.
RUN_COMMAND, MAKE, DELEGATE_TASK = "run_command", "make", "delegate_task"
READ_FILE, REMEMBER, RECALL = "read_file", "remember", "recall"

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")  # as models that call tools want it


class ToolQuerySet(models.QuerySet["Tool"]):
    """The tools of the house and of the installation."""

    def seen_by(self, agent: Agent) -> Self:
        """Those that the agent may read."""
        return permitted(self, agent, R)  # type: ignore[return-value]  # the same kind of query comes back

    def chosen(self, ids: Iterable[str], *, by: Agent) -> "list[Tool]":
        """These, all of which `by` may read; else a refusal that is the same for what is elsewhere."""
        wanted = set(ids)
        rows = list(self.seen_by(by).filter(pk__in=wanted)) if wanted else []
        if len(rows) != len(wanted):
            raise NotFound("This house has no such tool; see Settings → Tools.")
        return rows

    def create_in(
        self,
        house: House,
        name: str,
        *,
        kind: str,
        description: str = "",
        schema: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        by: Agent,
    ) -> "Tool":
        """A new tool of the house. Saying it twice does it once."""
        require_x(by)
        given = _checked(name, kind, description, schema or {}, config or {})
        same = self.filter(house=house, name=given["name"]).first()
        if same is not None and says(same, given):
            return same
        _require_free(given["name"])
        with taken_as(_taken(given["name"])):
            return self.create(house=house, **given)


class Tool(models.Model):
    """Something that can be called: x on it is the right to. Its schema is the JSON Schema of its input."""

    id = ShortIdField()
    house = models.ForeignKey(
        House, on_delete=models.CASCADE, db_constraint=False, null=True, blank=True, related_name="tools"
    )
    name = models.TextField()
    description = models.TextField(default="", db_default="", blank=True)
    kind = models.TextField()  # `builtin`, `mcp`, `http`, or another word
    schema = models.JSONField(default=dict, db_default={}, blank=True)
    config = models.JSONField(default=dict, db_default={}, blank=True)  # by kind: an address, a method; no secrets
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ToolQuerySet.as_manager()

    class Meta:
        db_table = "tools"
        permissions = PERMISSIONS
        triggers = [forgotten_with("tools")]
        constraints = [
            models.UniqueConstraint(name="tools_house_id", fields=["house", "id"]),
            models.UniqueConstraint(name="one_tool_per_name_and_house", fields=["house", "name"], nulls_distinct=False),
            models.CheckConstraint(
                name="a_builtin_tool_is_of_the_installation", condition=~Q(kind=BUILTIN) | Q(house=None)
            ),
            HouseOwned(name="tools_stay_in_their_house", also_read='"house_id" IS NULL'),
            Audited(name="tools_are_audited"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_builtin(self) -> bool:
        """Of the installation: every house has it, and none changes it."""
        return self.house_id is None

    def check_call(self, arguments: Any) -> None:
        """Refuse what this tool does not take, saying where it breaks."""
        check(self.schema, arguments)

    def change(
        self,
        *,
        name: str,
        kind: str,
        description: str = "",
        schema: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        by: Agent,
    ) -> None:
        """Another name, another address, or another input."""
        self._require_to_change(by)
        given = _checked(name, kind, description, schema or {}, config or {})
        hold(self)
        if given["name"] != self.name:
            _require_free(given["name"])
        if changed(self, given):
            with taken_as(_taken(given["name"])):
                self.save(update_fields=[*given, "updated_at"])

    def remove(self, *, by: Agent) -> None:
        """Forget it, and what was granted on it."""
        self._require_to_change(by)
        Tool.objects.filter(house_id=current_house(), pk=self.pk).delete()

    def _require_to_change(self, by: Agent) -> None:
        require_x(by)
        if self.is_builtin:
            raise Forbidden(f"`{self.name}` is a tool of this installation: every house has it, and none changes it.")


def _checked(name: str, kind: str, description: str, schema: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    if not NAME.fullmatch(name):
        raise Invalid("name: a tool is called by letters, digits, - and _, beginning with a letter; at most 64.")
    if word(kind, "kind") == BUILTIN:
        raise Invalid("kind: builtin tools come with the installation; a house adds `mcp` and `http` ones.")
    schema = checked_schema(schema)
    if kind == MCP:
        config = mcp_config(keepable(config, "config"))
    elif kind == HTTP:
        config = http_config(keepable(config, "config"), schema)
    else:
        config = particulars(config, "config")
    told = text_of(description, "description", 4000)
    return {"name": name, "kind": kind, "description": told, "schema": schema, "config": config}


def _require_free(name: str) -> None:
    """A tool of the house never stands in front of one of the installation."""
    if Tool.objects.filter(name=name).exists():
        raise _taken(name)


def _taken(name: str) -> NameTaken:
    return NameTaken(f"There is a tool called `{name}` already, of this house or of the installation.")


scope("tool", Tool)
