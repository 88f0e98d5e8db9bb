"""The app role, on the tables as they are: rows alone, and no way past the walls."""

import psycopg
import pytest
from django.db import InternalError, ProgrammingError, transaction

from houses.tenancy import inside
from tests.houses.furniture import owned, sql

TRIES = [
    "ALTER TABLE threads DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE threads NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE threads DISABLE TRIGGER ALL",
    "ALTER TABLE threads OWNER TO arbe_app",
    "DROP POLICY threads_stay_in_their_house ON threads",
    "CREATE POLICY everybody ON threads USING (true)",
    "ALTER POLICY threads_stay_in_their_house ON threads USING (true)",
    "CREATE TABLE mine AS SELECT * FROM threads",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE VIEW mine AS SELECT * FROM threads",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION generate_short_id() RETURNS text LANGUAGE sql AS 'SELECT 1'",
    "TRUNCATE outbox",
    "SET ROLE arbe_owner",
    "SET ROLE arbe_operator",
    "SET ROLE arbe_vault",
    "SET SESSION AUTHORIZATION arbe_owner",
    "ALTER ROLE arbe_app BYPASSRLS",
    "ALTER ROLE arbe_app SUPERUSER",
    "GRANT arbe_operator TO arbe_app",
    "SET session_replication_role = replica",
    "SELECT box FROM vault.sealed",
    "DELETE FROM vault.sealed",
    "CREATE TABLE vault.mine (x int)",
    "COPY threads TO PROGRAM 'cat'",
    "COPY threads TO '/tmp/threads'",
    "SELECT pg_read_file('/etc/passwd')",
]


@pytest.mark.parametrize("statement", TRIES)
def test_the_app_role_cannot(in_oak, oak, statement):
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner|must have|not allowed"), inside(oak):
        sql(statement)


def test_switching_row_security_off_only_makes_queries_fail(in_oak):
    sql("SET LOCAL row_security = off")
    with pytest.raises((ProgrammingError, InternalError), match="row-level security"), transaction.atomic():
        sql("SELECT count(*) FROM threads")


def test_the_app_is_the_app_role(db):
    (role,) = sql("SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    assert role == ("arbe_app", False, False, False)
    assert sql("SELECT current_user = session_user") == [(True,)]


def test_no_table_belongs_to_the_app_role(db):
    assert sql("SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = 'arbe_app'") == []


def test_the_owner_is_bound_by_the_policies(committed, running, in_oak):
    with psycopg.connect(running.urls.owner) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("INSERT INTO secrets (house_id, name, vault_secret_id) VALUES ('x', 'X', gen_random_uuid())")


def test_functions_that_see_more_than_their_caller_are_few_and_cannot_be_led_astray(db):
    found = sql(
        "SELECT pronamespace::regnamespace || '.' || proname, proconfig[1], pg_get_userbyid(proowner) "
        "FROM pg_proc WHERE prosecdef ORDER BY 1"
    )
    assert {name: role for name, _, role in found} == {
        "public.outbox_left_behind": "arbe_operator",
        "public.sandboxes_known": "arbe_operator",
        "public.work_adrift": "arbe_operator",
        "vault.drop": "arbe_vault",
        "vault.open": "arbe_vault",
        "vault.put": "arbe_vault",
    }
    assert all(path in ("search_path=public, pg_temp", "search_path=vault, pg_temp") for _, path, _ in found)


def test_what_sees_every_house_tells_ids_alone(in_oak, in_elm):
    """Names, texts and payloads do not pass: the sweeps have to step inside for those."""
    for function in ("outbox_left_behind", "sandboxes_known", "work_adrift"):
        columns = {
            name for row in sql("SELECT proargnames FROM pg_proc WHERE proname = %s", function) for name in row[0]
        }
        assert columns <= {"house_id", "id", "stream_id", "kind", "provider", "provider_ref", "status"}


def test_nobody_else_may_ask_them(running, django_db_setup):
    with psycopg.connect(running.urls.owner) as owner:
        (asked,) = owner.execute(
            "SELECT count(*) FROM pg_proc WHERE prosecdef AND has_function_privilege('public', oid, 'EXECUTE')"
        ).fetchone()
        assert asked == 0


def test_every_house_owned_table_is_for_rows_alone(db):
    for model in owned():
        (may,) = sql(
            "SELECT has_table_privilege(%s, 'SELECT, INSERT, UPDATE, DELETE'), "
            "has_table_privilege(%s, 'TRUNCATE'), has_table_privilege(%s, 'TRIGGER'), "
            "has_table_privilege(%s, 'REFERENCES')",
            *[model._meta.db_table] * 4,
        )
        assert may == (True, False, False, False)
