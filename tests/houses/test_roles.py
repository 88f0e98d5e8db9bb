"""The app role, on the tables as they are: rows alone, and no way past the walls."""

import psycopg
import pytest
from django.db import InternalError, ProgrammingError, transaction

from houses.audit import Audited
from houses.models import Mutation
from houses.tenancy import inside
from tests.houses.furniture import models, sql

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


ACROSS_HOUSES = (
    "forget_kept_answers",
    "outbox_left_behind",
    "run_tokens_going",
    "sandboxes_known",
    "answers_adrift",
    "work_adrift",
)

IN_THIS_HOUSE = ("memories_saying", "memories_tagged", "threads_tagged")


def test_functions_that_see_more_than_their_caller_are_few_and_cannot_be_led_astray(db):
    found = sql(
        "SELECT pronamespace::regnamespace || '.' || proname, path, pg_get_userbyid(proowner) "
        "FROM pg_proc LEFT JOIN LATERAL unnest(proconfig) path ON path LIKE 'search_path=%%' "
        "WHERE prosecdef ORDER BY 1"
    )
    audits = {c.name for model in models() for c in model._meta.constraints if isinstance(c, Audited)}
    assert {name: role for name, _, role in found} == {
        **{f"public.{name}": "arbe_operator" for name in (*ACROSS_HOUSES, *IN_THIS_HOUSE, *audits)},
        **{f"vault.{name}": "arbe_vault" for name in ("count_by_key", "drop", "open", "put", "sealed_with", "swap")},
    }
    assert all(path in ("search_path=public, pg_temp", "search_path=vault, pg_temp") for _, path, _ in found)


def test_what_sees_every_house_tells_ids_alone(in_oak, in_elm):
    """Names, texts and payloads do not pass: the sweeps have to step inside for those."""
    for function in ACROSS_HOUSES:
        columns = {
            name for row in sql("SELECT proargnames FROM pg_proc WHERE proname = %s", function) for name in row[0]
        }
        assert columns <= {"house_id", "id", "stream_id", "kind", "provider", "provider_ref", "status", "run", "count"}


def test_what_searches_a_house_searches_no_other_and_no_private_memory(in_oak, in_elm, oak, elm, ada, cy):
    asked = {
        "threads_tagged('soup')": "UPDATE threads SET tags = ARRAY['soup']",
        "memories_tagged(ARRAY['soup'])": "UPDATE memories SET tags = ARRAY['soup']",
        "memories_saying('knows | big')": "SELECT 1",
    }
    for house, by in ((oak, ada), (elm, cy)):
        with inside(house, by):
            for change in asked.values():
                sql(change)
    for question in asked:
        table = question.partition("_")[0]
        assert sql(f"SELECT {question}") == []
        with inside(oak, ada):
            found, mine = sql(f"SELECT {question}"), sql(f"SELECT id FROM {table}")
        with inside(oak, cy):
            seen = sql(f"SELECT {question}")
        assert {*found} and {*found} <= {*mine}
        assert len({*found} - {*seen}) == (table == "memories")


def test_nobody_else_may_ask_them(running, django_db_setup):
    with psycopg.connect(running.urls.owner) as owner:
        (asked,) = owner.execute(
            "SELECT count(*) FROM pg_proc WHERE prosecdef AND has_function_privilege('public', oid, 'EXECUTE')"
        ).fetchone()
        assert asked == 0


PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES")


def test_every_table_of_ours_is_for_rows_alone(db):
    for model in models():
        may = [
            word
            for word in PRIVILEGES
            if sql("SELECT has_table_privilege(%s, %s)", model._meta.db_table, word) == [(True,)]
        ]
        assert may == (["SELECT"] if model is Mutation else ["SELECT", "INSERT", "UPDATE", "DELETE"]), model


def test_what_writes_mutations_is_called_by_triggers_alone(db):
    found = sql(
        "SELECT proname FROM pg_proc WHERE prosecdef AND prorettype = 'trigger'::regtype "
        "AND has_function_privilege('arbe_app', oid, 'EXECUTE')"
    )
    assert found == []


CHANGES = ["INSERT INTO mutations DEFAULT VALUES", "UPDATE mutations SET row_id = ''", "DELETE FROM mutations"]
CHANGES += ["TRUNCATE mutations", "SELECT * FROM mutations FOR UPDATE"]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_app_reads_mutations_and_changes_none(in_oak, oak, statement):
    with inside(oak):
        assert sql("SELECT count(*) > 20 FROM mutations") == [(True,)]
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            sql(statement)


@pytest.mark.parametrize("statement", CHANGES[1:])
def test_the_operator_adds_mutations_and_changes_none(running, django_db_setup, statement):
    with psycopg.connect(running.urls.operator) as operator:
        operator.execute("INSERT INTO mutations (table_name, row_id, action) VALUES ('t', '1', 'insert')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            operator.execute(statement)
