"""Mutations told to people: a sentence each, and what was before and after, with names instead of ids."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS
from django.db.models import ForeignKey, Model
from django.urls import reverse

from houses.agents import Agent
from houses.audit import Audited
from houses.models import Mutation
from houses.mutations import DELETE, INSERT, UPDATE
from houses.scopes import KINDS

VERBS = {INSERT: "added", UPDATE: "changed", DELETE: "removed"}
WORDS = {"bound_agents": "bound agent", "bound_resources": "bound resource", "policy_resources": "policy's resource"}
# Where a thing is looked at; those without an address of their own are on the page of all of them.
PAGES = {
    "environments": "environment",
    "threads": "thread",
    "resources": "resource",
    "tools": "tool",
    "secret_bindings": "binding",
    "activation_policies": "policy",
    "memories": "memory",
}
LISTS = {"members": "members", "secrets": "secrets", "tokens": "members", "invitations": "members"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")
LONGEST = 4000  # characters of a value that are shown
Names = dict[type[Model], dict[str, str]]


@dataclass(frozen=True)
class Change:
    """One field, before and after; None where there was no row."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Told:
    """A mutation as people read it: `who verb what “title”`, its fields, and where the thing is."""

    row: Mutation
    who: str
    verb: str
    what: str
    title: str
    href: str = ""
    changes: list[Change] = field(default_factory=list)

    @property
    def tail(self) -> str:
        """What of it changed, in words."""
        if self.row.action != UPDATE:
            return ""
        return ", ".join(change.name for change in self.changes) or "something that is not shown"

    @property
    def sentence(self) -> str:
        subject = f"{self.what} “{self.title}”" if self.title else self.what
        return f"{self.who} {self.verb} {subject}" + (f": {self.tail}" if self.tail else "")


@cache
def audited() -> dict[str, type[Model]]:
    """The models whose changes are kept, by their tables."""
    models = apps.get_models()
    return {m._meta.db_table: m for m in models if any(isinstance(c, Audited) for c in m._meta.constraints)}


def word_for_table(table: str) -> str:
    """What a row of the table is called."""
    model = audited().get(table)
    return WORDS.get(table) or (str(model._meta.verbose_name) if model else table)


def retell(rows: Iterable[Mutation], using: str = DEFAULT_DB_ALIAS) -> list[Told]:
    """Each in words. One query for every kind of thing that is named, however many rows there are."""
    rows = list(rows)
    wanted: dict[type[Model], set[str]] = defaultdict(set)
    for row in rows:
        _collect(row, wanted)
    names = {model: _names(model, keys, using) for model, keys in wanted.items()}
    return [_told(row, names) for row in rows]


def _collect(row: Mutation, wanted: dict[type[Model], set[str]]) -> None:
    """Whatever a row points at, by its keys."""
    wanted[Agent].add(str(row.agent_id))
    model = audited().get(row.table_name)
    if model is None:
        return
    if " " not in row.row_id:
        wanted[model].add(row.row_id)
    else:
        wanted[Agent].add(row.row_id.split()[-1])
    for values in (row.before or {}, row.after or {}):
        for column, other in _pointers(model).items():
            if values.get(column) is not None:
                wanted[other].add(str(values[column]))
        if row.table_name == "grants":
            for scope in _scopes():
                wanted[scope].add(str(values.get("object_pk", "")))


@cache
def _pointers(model: type[Model]) -> dict[str, type[Model]]:
    fields = [one for one in model._meta.concrete_fields if isinstance(one, ForeignKey)]
    return {one.column: one.related_model for one in fields}


def _scopes() -> list[type[Model]]:
    return list(KINDS)


def _names(model: type[Model], keys: set[str], using: str) -> dict[str, str]:
    """The names of those rows that are still there."""
    column = {Permission: "codename", ContentType: "model"}.get(model, "name")
    columns = {one.name for one in model._meta.concrete_fields}
    if len(model._meta.pk_fields) > 1:
        return {}
    known = [value for key in keys if (value := _as_key(model, key)) is not None]
    rows = model._default_manager.using(using).filter(pk__in=known)
    found = rows.values_list("pk", column if column in columns else "pk")
    return {str(pk): str(name or "") if column in columns else "" for pk, name in found}


def _as_key(model: type[Model], key: str) -> Any:
    try:
        return model._meta.pk.to_python(key) if key and key != "None" else None
    except ValidationError:
        return None


def _told(row: Mutation, names: Names) -> Told:
    model = audited().get(row.table_name)
    who = _agent(row.agent_id, names) if row.agent_id else "arbe"
    changes = _changes(row, model, names)
    if row.table_name == "grants" and model is not None:
        return Told(row, who, *_grant(row, names), changes=changes)
    what, title = word_for_table(row.table_name), _title(row, model, names)
    return Told(row, who, VERBS[row.action], what, title, _href(row, model, names), changes)


def _grant(row: Mutation, names: Names) -> tuple[str, str, str]:
    """A bit, for whom, and on what: `gave`, `Bo r on thread`, `Soup`."""
    values = row.after or row.before or {}
    bit = names.get(Permission, {}).get(str(values.get("permission_id")), "?")
    kind = names.get(ContentType, {}).get(str(values.get("content_type_id")), "thing")
    whom = _agent(values.get("user_id"), names)
    scope = str(values.get("object_pk", ""))
    title = next((names[one][scope] for one in _scopes() if scope in names.get(one, {})), scope)
    if row.action == DELETE:
        return "withdrew", f"{bit} of {whom} on {kind}", title
    return "gave", f"{whom} {bit} on {kind}", title


def _agent(agent_id: UUID | str | None, names: Names) -> str:
    return names.get(Agent, {}).get(str(agent_id)) or "somebody who has gone"


def _title(row: Mutation, model: type[Model] | None, names: Names) -> str:
    if " " in row.row_id:
        return _agent(row.row_id.split()[-1], names)
    for values in (row.after, row.before):
        if values and values.get("name"):
            return str(values["name"])
    return names.get(model, {}).get(row.row_id, "") if model else ""


def _href(row: Mutation, model: type[Model] | None, names: Names) -> str:
    """Where it is, if it is still there."""
    if row.house_id is None or model is None or row.action == DELETE:
        return ""
    if row.table_name in LISTS:
        return reverse(LISTS[row.table_name], args=[row.house_id])
    if row.table_name in PAGES and row.row_id in names.get(model, {}):
        return reverse(PAGES[row.table_name], args=[row.house_id, row.row_id])
    return ""


def _changes(row: Mutation, model: type[Model] | None, names: Names) -> list[Change]:
    before, after = row.before, row.after
    columns = [name for name in {**(before or {}), **(after or {})} if _says_something(name, before, after)]
    pointers = _pointers(model) if model else {}
    return [
        Change(
            name.removesuffix("_id").replace("_", " "),
            _value(name, before, pointers, names),
            _value(name, after, pointers, names),
        )
        for name in columns
    ]


def _says_something(name: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    if before is not None and after is not None:
        return True
    return (before or after or {}).get(name) not in (None, "", [], {})


def _value(name: str, values: dict[str, Any] | None, pointers: dict[str, type[Model]], names: Names) -> str | None:
    if values is None:
        return None
    value = values.get(name)
    if value is None:
        return "—"
    if name in pointers and (known := names.get(pointers[name], {}).get(str(value))):
        return known
    if isinstance(value, str):
        if MOMENT.match(value):
            return value[:19].replace("T", " ")
        return value[:LONGEST] or "—"
    return json.dumps(value, indent=1, ensure_ascii=False)[:LONGEST]
