"""Auditing as a constraint: a table that says `Audited` has every insert, update and delete written to `mutations`.

The triggers work on whole statements, so that a bulk write costs one more insert and not one per row. Their function
belongs to the operator role: the app role may read mutations of its house and write none. It names every column, which
is what makes it quick, so it is written anew after migrations (`renew`): a new column is not forgotten.

It costs 4 to 8 µs of processor time a row. An update of one small column cannot stay within 15 % of what it cost: the
mutation is a second row, wider than the change, that has to be compared, joined and written.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models import Model

from houses.constraints import Deferred

# Row after row is joined by hash, whatever the plan thinks: it may have been made for a single one.
RECORD = """
CREATE OR REPLACE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_nestloop = off AS $body$
DECLARE
    doer constant uuid := NULLIF(current_setting('app.agent_id', true), '')::uuid;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO mutations (house_id, agent_id, table_name, row_id, action, after)
        SELECT {house_new}, doer, '{table}', {key_new}, 'insert', to_jsonb(kept)
        FROM new_rows n CROSS JOIN LATERAL (SELECT {new}) kept;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO mutations (house_id, agent_id, table_name, row_id, action, before)
        SELECT {house_old}, doer, '{table}', {key_old}, 'delete', to_jsonb(kept)
        FROM old_rows o CROSS JOIN LATERAL (SELECT {old}) kept;
    ELSE
        INSERT INTO mutations (house_id, agent_id, table_name, row_id, action, before, after)
        SELECT house, doer, '{table}', key, action,
            CASE WHEN action <> 'insert' THEN ('{{' || was || '}}')::jsonb END,
            CASE WHEN action <> 'delete' THEN ('{{' || is_now || '}}')::jsonb END
        FROM (
            SELECT COALESCE({house_new}, {house_old}) AS house, COALESCE({key_new}, {key_old}) AS key,
                CASE WHEN {gone} THEN 'delete' WHEN {come} THEN 'insert' ELSE 'update' END AS action,
                {was} AS was, {is_now} AS is_now, {unsaid} AS unsaid
            FROM new_rows n FULL JOIN old_rows o ON {same} OFFSET 0
        ) changes WHERE was <> '' OR unsaid OR action <> 'update';
    END IF;
    RETURN NULL;
END
$body$
"""
TRIGGERS = {
    "insert": "REFERENCING NEW TABLE AS new_rows",
    "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "REFERENCING OLD TABLE AS old_rows",
}
COLUMNS = """
SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
    AND EXISTS (SELECT 1 FROM pg_proc WHERE proname = %s)
"""


class Audited(Deferred):
    """Every change of the table is a mutation: a new or deleted row whole, of a changed one the columns that changed.

    A row with another key is another row: the old one is deleted, and the new one inserted.

    The key and the house are columns of the mutation; the columns in `hidden` are left out. A change of nothing but the
    columns in `ignored` is none. A row belongs to the house in its `house_id`; a house to itself; and the row of a
    table without that column to no house, where operators alone see its mutations.
    """

    def __init__(self, *, name: str, hidden: tuple[str, ...] = (), ignored: tuple[str, ...] = ()) -> None:
        super().__init__(name=name)
        self.hidden, self.ignored = tuple(hidden), tuple(ignored)

    def function(self, model: type[Model], columns: Iterable[str]) -> str:
        """The SQL that writes down what happens to these columns."""
        columns = list(columns)
        keys = [str(field.column) for field in model._meta.pk_fields]
        kept = [name for name in columns if name not in {*keys, "house_id", *self.hidden}]
        watched = [name for name in kept if name not in self.ignored]
        unsaid = [name for name in self.hidden if name in columns and name not in self.ignored]
        words = {"name": self.name, "table": model._meta.db_table}
        for row, alias in (("new", "n"), ("old", "o")):
            words[f"house_{row}"] = _house(model, columns, alias)
            words[f"key_{row}"] = " || ' ' || ".join(f'{alias}."{key}"::text' for key in keys)
            words[row] = ", ".join(f'{alias}."{name}"' for name in kept)
        words["gone"], words["come"] = f'n."{keys[0]}" IS NULL', f'o."{keys[0]}" IS NULL'
        words["same"] = " AND ".join(f'n."{key}" = o."{key}"' for key in keys)
        words["was"], words["is_now"] = _changed("o", watched), _changed("n", watched)
        words["unsaid"] = " OR ".join(map(_differs, unsaid)) or "false"
        return RECORD.format(**words)

    def _statements(self, model: type[Model]) -> list[str]:
        return [
            f'DROP FUNCTION IF EXISTS "{self.name}"()',  # a table that was dropped left its function behind
            self.function(model, [str(field.column) for field in model._meta.concrete_fields]),
            *(
                f'CREATE TRIGGER "{self.name}_{action}" AFTER {action.upper()} ON "{model._meta.db_table}" {rows} '
                f'FOR EACH STATEMENT EXECUTE FUNCTION "{self.name}"()'
                for action, rows in TRIGGERS.items()
            ),
            f'REVOKE ALL ON FUNCTION "{self.name}"() FROM PUBLIC, arbe_app',
            "GRANT CREATE ON SCHEMA public TO arbe_operator",
            f'ALTER FUNCTION "{self.name}"() OWNER TO arbe_operator',
            "REVOKE CREATE ON SCHEMA public FROM arbe_operator",
        ]

    def remove_sql(self, model: type[Model] | None, schema_editor: Any) -> str:
        assert model is not None
        table = model._meta.db_table
        drops = [f'DROP TRIGGER "{self.name}_{action}" ON "{table}"' for action in TRIGGERS]
        return "; ".join([*drops, f'DROP FUNCTION "{self.name}"()'])

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, kwargs | {"hidden": self.hidden, "ignored": self.ignored}


def renew(using: str, **_: Any) -> None:
    """Write the functions again, for the columns that the tables have now. Called after migrations, as the owner."""
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO arbe_operator; SET LOCAL ROLE arbe_operator")
        for model in apps.get_models():
            for rule in model._meta.constraints:
                if isinstance(rule, Audited):
                    cursor.execute(COLUMNS, [model._meta.db_table, rule.name])
                    if columns := cursor.fetchone()[0]:
                        cursor.execute(rule.function(model, columns))
        cursor.execute("RESET ROLE; REVOKE CREATE ON SCHEMA public FROM arbe_operator")


def _differs(column: str) -> str:
    return f'n."{column}" IS DISTINCT FROM o."{column}"'


def _changed(alias: str, columns: list[str]) -> str:
    """JSON of the columns that differ, without its braces; as text, because most of them do not."""
    parts = (
        f"CASE WHEN {_differs(name)} THEN '\"{name}\":' || COALESCE(to_json({alias}.\"{name}\")::text, 'null') END"
        for name in columns
    )
    return f"concat_ws(',', {', '.join(parts)})"


def _house(model: type[Model], columns: list[str], alias: str) -> str:
    if "house_id" in columns:
        return f'{alias}."house_id"'
    return f'{alias}."id"' if model._meta.db_table == "houses" else "NULL"
