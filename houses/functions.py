"""Database functions that row-level security does not bind, each for one narrow question.

They belong to the operator role, and the app role may call them. Those that see every house are for what works across
houses: the sweeps. Those of one house are for operators that are not leakproof (arrays, text search), whose index
Postgres does not use where a policy has to be asked first; they take the house from the setting, as the policies do.
"""

from typing import Any

from django.db import connection
from django.db.migrations import RunSQL

from houses.constraints import CURRENT_HOUSE

FEW = 200


def few(function: str, asked: str, *values: Any) -> list[str] | None:
    """The ids that a function of this house finds, or None where that is more than a few.

    Few rows are found by the function's index. Of many, a page is full soon when the house is gone through in the order
    of the list, so the plain filter is the quicker way, and the only one that need not fetch them all.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ARRAY(SELECT {function}({asked}) LIMIT {FEW + 1})", values)
        found: list[str] = cursor.fetchone()[0]
    return found if len(found) <= FEW else None


def across_houses(name: str, columns: str, body: str, *, changes: bool = False) -> RunSQL:
    """A migration step that declares `name()` returning rows of `columns`, seen, or changed, by the operator role."""
    return _as_operator(f"{name}()", f"TABLE ({columns})", body, "VOLATILE" if changes else "STABLE")


def in_this_house(name: str, takes: str, table: str, where: str) -> RunSQL:
    """A migration step that declares `name(takes)` returning the ids of rows of the house we are inside of."""
    body = f"SELECT id FROM {table} WHERE house_id = {CURRENT_HOUSE} AND {where}"  # noqa: S608  # all of it is ours
    # Planned for each call: what is quick for one house or word is slow for the next.
    return _as_operator(f"{name}({takes})", "SETOF text", body, "STABLE SET plan_cache_mode = force_custom_plan")


def _as_operator(signature: str, returns: str, body: str, kind: str) -> RunSQL:
    return RunSQL(
        f"""
        CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE sql {kind} SECURITY DEFINER
            SET search_path = public, pg_temp AS $body$ {body} $body$;
        REVOKE ALL ON FUNCTION {signature} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {signature} TO arbe_app;
        GRANT CREATE ON SCHEMA public TO arbe_operator;
        ALTER FUNCTION {signature} OWNER TO arbe_operator;
        REVOKE CREATE ON SCHEMA public FROM arbe_operator;
        """,
        f"DROP FUNCTION {signature}",
    )
