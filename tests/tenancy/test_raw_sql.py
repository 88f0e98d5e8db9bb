"""Whatever SQL the app role might be brought to say, in Oak's place or in none: nothing of Elm comes back."""

from django.db import DatabaseError, connections, transaction

from houses.tenancy import inside
from tests.houses.furniture import edges, models, owned, sql

TABLES = [model._meta.db_table for model in owned()]


def said(statement, *values, house=None) -> str:
    """What comes back, a refusal's words included."""
    try:
        with transaction.atomic(), inside(house or ""):
            return repr(sql(statement, *values))
    except DatabaseError as refused:
        return str(refused)


def everything_in(world) -> set[str]:
    return {value for values in world.there.values() for value in values if not value.isdigit()}


def test_no_statement_reaches_a_row_next_door(world):
    for table in TABLES:
        column = "id" if table == "houses" else "house_id"
        for where in (f"{column} = '{world.elm.pk}'", f"strpos({table}::text, '{world.elm.pk}') > 0"):
            for house in ("", world.oak.pk):
                for change in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
                    done = said(f"{change} WHERE {where}", house=house)
                    assert done in ("0", f"permission denied for table {table}"), (table, where)
                assert said(f"SELECT * FROM {table} WHERE {where}", house=house) == "[]", (table, where)
        for whole in (f"TABLE {table}", f"SELECT {table}::text FROM {table}", f"EXPLAIN ANALYZE SELECT * FROM {table}"):
            assert world.elm.pk not in said(whole, house=world.oak.pk), table


def test_a_leaky_function_in_a_where_is_not_asked_about_rows_next_door(world):
    """What can fail, or tell, is asked after the policy: dividing by nothing tells of no row that is not there."""
    for table in TABLES:
        column = "id" if table == "houses" else "house_id"
        theirs = f"{column} = '{world.elm.pk}'"
        for leak in (
            f"1 / (CASE WHEN {theirs} THEN 0 ELSE 1 END) = 1",
            f"CASE WHEN {theirs} THEN {column}::int = 1 ELSE true END",
        ):
            answer = said(f"SELECT count(*) FROM {table} WHERE {leak}", house=world.oak.pk)
            assert answer.startswith("[("), (table, answer)


def test_what_the_statistics_know_is_not_shown(world):
    for view in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
        seen = said(f"SELECT count(*) FROM {view} WHERE tablename = ANY (%s)", TABLES, house=world.oak.pk)
        assert seen == "[(0,)]", view
    for secret in ("pg_statistic", "pg_statistic_ext_data", "pg_authid", "pg_largeobject"):
        assert "permission denied" in said(f"SELECT * FROM {secret}")


def test_the_catalogue_says_nothing_of_rows(world):
    """Names of houses and ids stand in no comment, default, policy, function or large object."""
    looked = [
        "SELECT string_agg(qual || with_check, '') FROM pg_policies",
        "SELECT string_agg(prosrc, '') FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        "SELECT string_agg(pg_get_expr(adbin, adrelid), '') FROM pg_attrdef",
        "SELECT string_agg(description, '') FROM pg_description",
        "SELECT string_agg(query, '') FROM pg_stat_activity WHERE usename <> current_user",
        "SELECT string_agg(statement, '') FROM pg_prepared_statements",
        "SELECT count(*) FROM pg_largeobject_metadata",
    ]
    for question in looked:
        told = said(question)
        assert not [value for value in everything_in(world) if value in told], question


MAKES = [
    *("CREATE VIEW v AS SELECT 1", "CREATE MATERIALIZED VIEW v AS SELECT * FROM threads"),
    *("CREATE RULE r AS ON SELECT TO threads DO INSTEAD NOTHING", "CREATE STATISTICS s ON id, name FROM threads"),
    *("COPY threads TO '/tmp/x'", "COPY (SELECT 1) TO PROGRAM 'cat'", "SELECT lo_import('/etc/passwd')"),
    *("SET ROLE arbe_operator", "SET SESSION AUTHORIZATION arbe_operator", "LOAD 'auto_explain'"),
    *("SELECT pg_ls_dir('.')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT setval('mutations_id_seq', 1)"),
]


def test_the_app_makes_nothing_that_would_look_for_it(world):
    refused = ("permission denied", "must be", "must have", "not allowed")
    done = {one: said(one, house=world.oak.pk) for one in MAKES}
    assert {one: told for one, told in done.items() if not any(word in told for word in refused)} == {}


def test_copying_out_is_held_by_the_policies_too(world):
    with inside(world.oak), connections["default"].cursor() as cursor:
        for table in TABLES:
            with cursor.cursor.copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as copied:
                assert world.elm.pk.encode() not in b"".join(bytes(part) for part in copied), table


def test_functions_that_the_policies_do_not_bind_keep_to_the_house_or_tell_ids_alone(world):
    """Every one that the app may call, whatever it is called: with each id of Elm for each text it takes."""
    found = sql(
        "SELECT oid::regprocedure::text, oidvectortypes(proargtypes), provolatile::text FROM pg_proc "
        "WHERE prosecdef AND has_function_privilege(oid, 'EXECUTE') AND prorettype <> 'trigger'::regtype"
    )
    assert len(found) > 5
    for signature, takes, _ in found:
        name, kinds = signature.partition("(")[0], [kind for kind in takes.split(", ") if kind]
        for theirs in everything_in(world) if kinds else {""}:
            values = [_as(kind, theirs) for kind in kinds]
            if None in values:
                continue
            asked = f"SELECT * FROM {name}({', '.join(f'%s::{kind}' for kind in kinds)})"
            mine = said(asked, *values, house=world.oak.pk)
            nowhere = said(asked, *[_as(kind, world.nowhere(theirs)) for kind in kinds], house=world.oak.pk)
            if kinds and not name.endswith(".put"):
                assert mine.replace(theirs, "") == nowhere.replace(world.nowhere(theirs), ""), signature
            assert "what Elm alone knows" not in mine and "Elm" not in mine, signature


def _as(kind: str, value: str):
    if kind == "uuid":
        return value if len(value) == 36 else None
    if kind.endswith("[]"):
        return [value]
    return value.encode() if kind == "bytea" else value if kind in ("text", "tsquery") else None


def test_whoever_sets_the_house_by_hand_is_in_it():
    """The setting is the wall's gate: SQL that somebody else wrote must never run as the app role. This is noted."""
    from pathlib import Path

    places = [
        path.name
        for app in ("arbe", "houses", "threads", "artifacts", "sandboxes", "streams")
        for path in Path(app).rglob("*.py")
        if "migrations" not in path.parts and "set_config(" in path.read_text()
    ]
    # What was asked before is kept for an agent, where no house was entered yet.
    assert sorted(places) == ["idempotency.py", "tenancy.py"]


def test_a_refused_row_does_not_tell_whether_it_is_next_door(world):
    """Edges carry the house, so that a row next door and a row nowhere are missing in the same words."""
    for model, edge in edges():
        column = model._meta.get_field(edge.fields[1]).column
        word = next(w for w, m in _words().items() if m == edge.to.rpartition(".")[2].lower())
        theirs = world.there[word][0]
        answers = []
        for value in (theirs, world.nowhere(theirs)):
            told = said(
                f"UPDATE {model._meta.db_table} SET {column} = %s WHERE {column} IS NOT NULL", value, house=world.oak.pk
            )
            answers.append(told.replace(value, "⟨id⟩"))
        assert answers[0] == answers[1], edge.name


def _words() -> dict[str, str]:
    from tests.tenancy.words import models_by_word

    return {word: word for word in models_by_word()} | {"agent": "member"}


# A key that is not of a house would tell whoever proposes its value that somebody has it. These cannot be proposed.
UNIQUE_EVERYWHERE = {
    "digest": "of 32 random bytes",
    "id": "made by the database, 60 random bits; nobody is asked for one",
    "stream_id": "of a stream that was just made",
    "agent_id, key": "of one agent",
}


def test_no_key_tells_of_a_value_next_door(db):
    found = sql(
        "SELECT indrelid::regclass::text, (SELECT string_agg(attname, ', ' ORDER BY place) FROM "
        "unnest(indkey::int2[]) WITH ORDINALITY k(n, place) JOIN pg_attribute ON attrelid = indrelid AND attnum = n) "
        "FROM pg_index WHERE indisunique AND indrelid::regclass::text = ANY (%s)",
        TABLES,
    )
    telling = {(table, key) for table, key in found if "house_id" not in (key or "") and key not in UNIQUE_EVERYWHERE}
    assert telling == set()


def test_sequences_are_of_logs_alone(db):
    """A number that goes up tells how much is written elsewhere; ids of what people make are random."""
    found = {
        name
        for (name,) in sql("SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace")
    }
    ours = {model._meta.db_table for model in models()}
    assert {name for name in found if name.removesuffix("_id_seq") in ours} <= {
        f"{table}_id_seq"
        for table in (
            *("activation_policy_resources", "derivation_inputs", "derivations", "grants", "inputs", "kept_answers"),
            *("mutations", "outbox", "secret_binding_agents", "secret_binding_resources", "sign_in_links"),
        )
    }
