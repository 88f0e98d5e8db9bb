"""Migrations, forwards and backwards, over two houses with a row of everything: what both schemas know survives."""

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from arbe.environment import database
from houses.models import Agent, House
from houses.tenancy import inside
from tests.houses.furniture import furnish, models, owned, owned_by_agents

pytestmark = pytest.mark.timeout(300)  # every migration, several times over
# Before rights and records: the tables that were there by then, and the columns of theirs that are there still.
BEFORE = {"houses": "0001", "streams": "0002", "artifacts": "0001", "sandboxes": "0002", "threads": "0002"}


@pytest.fixture
def elsewhere(running, django_db_setup, django_db_blocker, monkeypatch):
    """A database of its own, migrated to the end, that Django is connected to as each role."""
    running.drop("migrated")
    urls = running.database("migrated")
    kept = {alias: dict(connections[alias].settings_dict) for alias in ("default", "owner", "operator")}
    with django_db_blocker.unblock():
        for alias, url in {"default": urls.app, "owner": urls.owner, "operator": urls.operator}.items():
            connections[alias].close()
            connections[alias].settings_dict.update(database(url))
        call_command("migrate", database="owner", verbosity=0)
        yield urls
        for alias, settings_dict in kept.items():
            connections[alias].close()
            connections[alias].settings_dict.update(settings_dict)
    running.drop("migrated")


def to(**targets: str) -> None:
    for app, name in targets.items():
        call_command("migrate", app, name, database="owner", verbosity=0)


def filled() -> dict[str, list[object]]:
    houses = []
    for name, email in (("Oak", "ada@oak.example"), ("Elm", "cy@elm.example")):
        person = Agent.objects.create_human(email.partition("@")[0].title(), email)
        house = House.objects.found(name, by=person)
        furnish(house, person)
        houses.append(house)
    return houses


def asked(urls, question: str, *values: object) -> list[tuple]:
    with psycopg.connect(urls.operator) as operator:
        return operator.execute(question, values).fetchall()


def shape(urls) -> dict[str, list[tuple]]:
    """All that the database knows of its tables, besides their rows."""
    ours = "AND relnamespace IN ('public'::regnamespace, 'vault'::regnamespace)"
    return {
        "policies": asked(urls, "SELECT * FROM (SELECT tablename, policyname, permissive, roles::text, cmd, qual, "
                                "with_check FROM pg_policies) p ORDER BY 1, 2"),
        "forced": asked(urls, f"SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relkind = 'r' "
                              f"{ours} ORDER BY 1"),
        "triggers": asked(urls, "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger "
                                "WHERE NOT tgisinternal ORDER BY 1, 2"),
        "constraints": asked(urls, "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM "
                                   "pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"),
        "indexes": asked(urls, "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
                               "ORDER BY 1, 2"),
        "columns": asked(urls, "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), "
                               "attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute "
                               "JOIN pg_class ON pg_class.oid = attrelid "
                               "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE relkind = 'r' "
                               f"AND attnum > 0 AND NOT attisdropped {ours} ORDER BY 1, 2"),
        "functions": asked(urls, "SELECT proname, pg_get_userbyid(proowner), prosecdef, proconfig::text, "
                                 "proacl::text, md5(prosrc) FROM pg_proc WHERE pronamespace IN "
                                 "('public'::regnamespace, 'vault'::regnamespace) ORDER BY 1"),
        "privileges": asked(urls, f"SELECT relname, relacl::text FROM pg_class WHERE relkind IN ('r', 'S') {ours} "
                                  "ORDER BY 1"),
    }  # fmt: skip


def rows(urls, columns: dict[str, list[str]]) -> dict[str, list[tuple]]:
    """Every row of these tables, as far as these columns go."""
    found = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"::text' for name in names)
        found[table] = sorted(asked(urls, f'SELECT {listed} FROM "{table}"'), key=str)
    return found


def columns(urls) -> dict[str, set[str]]:
    known = {model._meta.db_table for model in models()}
    found: dict[str, set[str]] = {}
    for table, column in asked(
        urls, "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'"
    ):
        if table in known:
            found.setdefault(table, set()).add(column)
    return found


def test_back_before_this_and_forth_again_with_rows_in_it(elsewhere):
    houses = filled()
    first, there = shape(elsewhere), columns(elsewhere)
    to(**dict(reversed(BEFORE.items())))
    both = {table: sorted(names & there[table]) for table, names in columns(elsewhere).items()}
    assert {"houses", "members", "threads", "commands", "secrets", "tokens", "derivations"} <= both.keys()
    kept = rows(elsewhere, both)
    assert all(kept[table] for table in both if table != "sign_in_links")
    call_command("migrate", database="owner", verbosity=0)
    assert rows(elsewhere, both) == kept
    for what, known in shape(elsewhere).items():
        assert known == first[what], what
    the_walls_stand(elsewhere, houses)


def the_walls_stand(urls, houses) -> None:
    """Not by their names alone: with rows on both sides."""
    for house in houses:
        with inside(house):
            for model in owned():
                key = "pk" if model is House else "house_id"
                seen = set(model._default_manager.exclude(**{key: None}).values_list(key, flat=True))
                assert seen <= {house.pk}, model
            assert House.objects.get() == house
            Agent.objects.create_bot("Newcomer", "pi")
            before = len(asked(urls, "SELECT 1 FROM mutations"))
            House.objects.update(name=house.name + "!")
        assert len(asked(urls, "SELECT 1 FROM mutations")) > before
    for model in (*owned(), *owned_by_agents()):
        assert not model._default_manager.filter(
            **{"house_id__isnull": False} if model in owned() and model is not House else {}
        ).exists()


def test_every_migration_of_ours_can_be_taken_back():
    stuck = [
        f"{app}.{name}: {operation.describe()}"
        for (app, name), migration in MigrationLoader(None).disk_migrations.items()
        if app in BEFORE
        for operation in migration.operations
        if not operation.reversible
    ]
    assert stuck == []
