"""The roles: what each may do on the server, before any table exists."""

import psycopg
import pytest
from psycopg import errors

from arbe import roles
from tests import services


@pytest.fixture(scope="module")
def own_services():
    started = services.start()
    yield started
    started.stop()


@pytest.fixture
def table(own_services):
    with psycopg.connect(own_services.urls.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE letters (id int GENERATED ALWAYS AS IDENTITY, body text)")
        yield "letters"
        owner.execute("DROP TABLE letters")


FORBIDDEN = [
    "CREATE TABLE mine (x int)",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE letters DISABLE ROW LEVEL SECURITY",
    "DROP TABLE letters",
    "TRUNCATE letters",
    "SET ROLE arbe_operator",
    "SET SESSION AUTHORIZATION arbe_owner",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_app_changes_rows_and_nothing_else(own_services, table, statement):
    with psycopg.connect(own_services.urls.app, autocommit=True) as app:
        app.execute("INSERT INTO letters (body) VALUES ('hello')")
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(statement)


def test_only_the_operator_passes_row_level_security(own_services):
    with psycopg.connect(own_services.postgres.url) as admin:
        found = admin.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'arbe%' AND rolbypassrls AND NOT rolsuper"
        )
        assert [name for (name,) in found] == [roles.OPERATOR]


def test_saying_it_twice_does_it_once(own_services):
    assert roles.bootstrap(own_services.postgres.url, own_services.passwords) == own_services.urls


def test_a_managed_server_needs_no_superuser(own_services):
    with psycopg.connect(own_services.postgres.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE landlord LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD 'rent'")
        for role in roles.ROLES:
            admin.execute(f"GRANT {role} TO landlord WITH ADMIN TRUE")
        landlord = roles.url_for(own_services.postgres.url, "landlord", "rent", "postgres")
        urls = roles.bootstrap(landlord, own_services.passwords, "rented")
        with psycopg.connect(urls.owner) as owner:
            owner.execute("CREATE TABLE rooms (x int)")
        own_services.drop("rented")


def test_a_role_that_would_see_every_house_stops_the_start(own_services):
    with psycopg.connect(own_services.postgres.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE clumsy LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD 'x'")
        admin.execute("ALTER ROLE arbe_app BYPASSRLS")
        with pytest.raises(roles.RolesRefused, match="arbe_app may pass row-level security"):
            roles.bootstrap(roles.url_for(own_services.postgres.url, "clumsy", "x", "postgres"), {})
        roles.bootstrap(own_services.postgres.url, own_services.passwords)  # the administrator puts it right


def test_an_address_keeps_its_options():
    url = roles.url_for("postgresql://boss:x@db.example:6432/postgres?sslmode=require", "arbe_app", "p/w", "arbe")
    assert url == "postgresql://arbe_app:p%2Fw@db.example:6432/arbe?sslmode=require"
