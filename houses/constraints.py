"""Tenancy as constraints: what `Meta.constraints` says, migrations keep and the database enforces.

Both classes run as deferred SQL, at the end of their migration, so that the tables and unique keys they lean on exist.
"""

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import BaseConstraint, Model

CURRENT_HOUSE = "NULLIF(current_setting('app.house_id', true), '')"
CURRENT_AGENT = "NULLIF(current_setting('app.agent_id', true), '')::uuid"


class Deferred(BaseConstraint):
    """A constraint whose SQL waits for the end of the migration."""

    def _statements(self, model: type[Model]) -> list[str]:
        raise NotImplementedError

    def constraint_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        return self.create_sql(model, schema_editor)

    def create_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        assert model is not None and schema_editor is not None
        schema_editor.deferred_sql.extend(self._statements(model))
        return ""

    def validate(self, model: type[Model], instance: Model, exclude: Any = None, using: str = DEFAULT_DB_ALIAS) -> None:
        """The database says no; there is nothing that Python could know better."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.deconstruct() == other.deconstruct()

    __hash__ = BaseConstraint.__hash__


class References(Deferred):
    """A foreign key as the database knows them and Django's fields do not: of several columns, with its own ON DELETE.

    `fields` are model fields of this table, `to` is "app.Model", `to_fields` the matching fields over there.
    `on_delete` is SQL: `no action`, `cascade`, or `set null (sandbox_id)`.
    """

    def __init__(
        self,
        *,
        name: str,
        fields: tuple[str, ...],
        to: str,
        to_fields: tuple[str, ...] = ("id",),
        on_delete: str = "no action",
    ) -> None:
        super().__init__(name=name)
        self.fields, self.to, self.to_fields, self.on_delete = tuple(fields), to, tuple(to_fields), on_delete

    def _statements(self, model: type[Model]) -> list[str]:
        # A migration's state knows only its own history; the table's name and columns are all that is needed of `to`.
        other = apps.get_model(self.to)
        here, there = _columns(model, self.fields), _columns(other, self.to_fields)
        return [
            (
                f'ALTER TABLE "{model._meta.db_table}" ADD CONSTRAINT "{self.name}" FOREIGN KEY ({here}) '
                f'REFERENCES "{other._meta.db_table}" ({there}) ON DELETE {self.on_delete.upper()}'
            )
        ]

    def remove_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        return f'ALTER TABLE "{model._meta.db_table}" DROP CONSTRAINT "{self.name}"'

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        kwargs |= {"fields": self.fields, "to": self.to, "to_fields": self.to_fields, "on_delete": self.on_delete}
        return path, args, kwargs


def _columns(model: type[Model], fields: tuple[str, ...]) -> str:
    columns = {field.name: field.column for field in model._meta.concrete_fields}
    return ", ".join(f'"{columns[name]}"' for name in fields)


class SameHouse(References):
    """A composite foreign key `(house_id, …)`: an edge can only join rows of one house."""

    def __init__(
        self,
        *,
        name: str,
        fields: tuple[str, ...],
        to: str,
        to_fields: tuple[str, ...] = ("house", "id"),
        on_delete: str = "no action",
    ) -> None:
        super().__init__(name=name, fields=fields, to=to, to_fields=to_fields, on_delete=on_delete)


class HouseOwned(Deferred):
    """The row goes with its house, and forced row-level security hides it outside `inside(house)`, from its owner too.

    `also_read` widens reading alone (SQL over the row): a person sees their houses before choosing one, and every house
    sees the tools of the installation. `outlives` leaves the row when its house goes, for operators to read.
    """

    def __init__(self, *, name: str, column: str = "house_id", also_read: str = "", outlives: bool = False) -> None:
        super().__init__(name=name)
        self.column, self.also_read, self.outlives = column, also_read, outlives

    def _statements(self, model: type[Model]) -> list[str]:
        table, mine = model._meta.db_table, f'"{self.column}" = {CURRENT_HOUSE}'
        statements = [
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
            f'CREATE POLICY "{self.name}" ON "{table}" USING ({mine}) WITH CHECK ({mine})',
        ]
        if self.column != "id" and not self.outlives:
            statements.append(
                f'ALTER TABLE "{table}" ADD CONSTRAINT "{self.name}" FOREIGN KEY ("{self.column}") '
                'REFERENCES "houses" ("id") ON DELETE CASCADE'
            )
        if self.also_read:
            statements.append(f'CREATE POLICY "{self.name}_read" ON "{table}" FOR SELECT USING ({self.also_read})')
        return statements

    def remove_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        table = model._meta.db_table
        return (
            f'ALTER TABLE "{table}" DROP CONSTRAINT IF EXISTS "{self.name}"; '
            f'DROP POLICY "{self.name}" ON "{table}"; DROP POLICY IF EXISTS "{self.name}_read" ON "{table}"; '
            f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY; ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY'
        )

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        kwargs |= {"column": self.column, "also_read": self.also_read}
        if self.outlives:
            kwargs["outlives"] = True
        return path, args, kwargs


class AgentOwned(Deferred):
    """Rows of one agent, of whatever house: forced row-level security shows them to that agent alone."""

    def __init__(self, *, name: str, column: str = "agent_id") -> None:
        super().__init__(name=name)
        self.column = column

    def _statements(self, model: type[Model]) -> list[str]:
        table, mine = model._meta.db_table, f'"{self.column}" = {CURRENT_AGENT}'
        return [
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
            f'CREATE POLICY "{self.name}" ON "{table}" USING ({mine}) WITH CHECK ({mine})',
        ]

    def remove_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        table = model._meta.db_table
        return (
            f'DROP POLICY "{self.name}" ON "{table}"; '
            f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY; ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY'
        )

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, kwargs | {"column": self.column}


class PrivateTo(Deferred):
    """Inside its house, a row with an agent in `column` is that agent's alone; without one it is everybody's there."""

    def __init__(self, *, name: str, column: str = "agent_id") -> None:
        super().__init__(name=name)
        self.column = column

    def _statements(self, model: type[Model]) -> list[str]:
        mine = f'"{self.column}" IS NULL OR "{self.column}" = {CURRENT_AGENT}'
        return [
            f'CREATE POLICY "{self.name}" ON "{model._meta.db_table}" AS RESTRICTIVE USING ({mine}) WITH CHECK ({mine})'
        ]

    def remove_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        return f'DROP POLICY "{self.name}" ON "{model._meta.db_table}"'

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, kwargs | {"column": self.column}
