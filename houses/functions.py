"""Database functions that see every house, each for one narrow question, for what works across houses: the sweeps.

They belong to the operator role, which row-level security does not bind, and the app role may call them.
"""

from django.db.migrations import RunSQL


def across_houses(name: str, columns: str, body: str) -> RunSQL:
    """A migration step that declares `name()` returning rows of `columns`, seen by the operator role."""
    return RunSQL(
        f"""
        CREATE FUNCTION {name}() RETURNS TABLE ({columns}) LANGUAGE sql STABLE SECURITY DEFINER
            SET search_path = public, pg_temp AS $body$ {body} $body$;
        REVOKE ALL ON FUNCTION {name}() FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {name}() TO arbe_app;
        GRANT CREATE ON SCHEMA public TO arbe_operator;
        ALTER FUNCTION {name}() OWNER TO arbe_operator;
        REVOKE CREATE ON SCHEMA public FROM arbe_operator;
        """,
        f"DROP FUNCTION {name}()",
    )
