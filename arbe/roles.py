"""The roles that arbe connects as, made once per server and put right at every start.

owner     runs migrations and owns the tables
app       web, workers and tests: rows only, and of its own house only
operator  the admin: rows of every house
vault     nobody logs in as this; it owns the functions that unseal secrets
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

OWNER, APP, OPERATOR, VAULT = "arbe_owner", "arbe_app", "arbe_operator", "arbe_vault"
PLAIN = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
# Memberships that can be taken up without being inherited came with 16.
OLDEST_SERVER = 160000
ROLES = {
    OWNER: f"LOGIN {PLAIN} NOBYPASSRLS",
    APP: f"LOGIN {PLAIN} NOBYPASSRLS",
    OPERATOR: f"LOGIN {PLAIN} BYPASSRLS",
    VAULT: f"NOLOGIN {PLAIN} NOBYPASSRLS",
}
GRANTS = {
    "TABLES": "SELECT, INSERT, UPDATE, DELETE",
    "SEQUENCES": "USAGE, SELECT",
    "FUNCTIONS": "EXECUTE",
}


class RolesRefused(RuntimeError):
    """The roles on this server are not, and cannot be made, what arbe's privacy stands on."""


@dataclass(frozen=True)
class Urls:
    """How each role connects to arbe's database."""

    owner: str
    app: str
    operator: str


def bootstrap(admin_url: str, passwords: Mapping[str, str], database: str = "arbe") -> Urls:
    """Make what is missing and put right what is there; the admin is any role that may create roles and databases."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        if admin.info.server_version < OLDEST_SERVER:
            raise RolesRefused(f"arbe needs Postgres {OLDEST_SERVER // 10000} or newer; this server is older.")
        for role, attributes in ROLES.items():
            _ensure_role(admin, role, attributes)
        _check_roles(admin)
        for role, password in passwords.items():
            _set_password(admin, role, password)
        _ensure_memberships(admin)
        _ensure_database(admin, database)
    with psycopg.connect(admin_url, dbname=database) as inside:
        _set_privileges(inside, database)
    return Urls(*(url_for(admin_url, role, passwords[role], database) for role in (OWNER, APP, OPERATOR)))


def url_for(admin_url: str, role: str, password: str, database: str) -> str:
    """The admin's server and connection options, with another role and database."""
    parts = conninfo_to_dict(admin_url)
    host, port = str(parts.pop("host", "localhost")), parts.pop("port", 5432)
    for taken in ("user", "password", "dbname"):
        parts.pop(taken, None)
    extra = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in parts.items())
    place = f"[{host}]:{port}" if ":" in host else f"{quote(host, safe='')}:{port}"
    return f"postgresql://{role}:{quote(password, safe='')}@{place}/{database}" + (f"?{extra}" if extra else "")


def _say(connection: Connection, statement: str, *names: str) -> None:
    """Run a statement of ours, with names quoted into it."""
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _ensure_role(admin: Connection, role: str, attributes: str) -> None:
    if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        _say(admin, f"CREATE ROLE {{}} {attributes}", role)
    elif _is_superuser(admin):
        _say(admin, f"ALTER ROLE {{}} {attributes}", role)


def _set_password(admin: Connection, role: str, password: str) -> None:
    # Hashed here, so that no log or activity view of the server ever sees the password.
    hashed = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed)))


def _check_roles(admin: Connection) -> None:
    """A role that somebody else made, or changed, must not quietly see every house."""
    question = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND (rolsuper OR rolbypassrls)"
    if found := admin.execute(question, [[OWNER, APP]]).fetchone():
        raise RolesRefused(
            f"The role {found[0]} may pass row-level security on this server; arbe does not start with that."
        )
    operator = admin.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = %s", [OPERATOR]).fetchone()
    if operator is None or not operator[0]:
        raise RolesRefused(
            f"The role {OPERATOR} needs BYPASSRLS on this server, and only its administrator can give that."
        )


def _ensure_memberships(admin: Connection) -> None:
    for role in (VAULT, OPERATOR):
        _say(admin, "GRANT {} TO {} WITH INHERIT FALSE, SET TRUE", role, OWNER)
    if not _is_superuser(admin):
        _say(admin, "GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE", OWNER)


def _ensure_database(admin: Connection, database: str) -> None:
    question = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
    found = admin.execute(question, [database]).fetchone()
    if found is None:
        _say(admin, "CREATE DATABASE {} OWNER {}", database, OWNER)
    elif found[0] != OWNER:
        _say(admin, "ALTER DATABASE {} OWNER TO {}", database, OWNER)


def _set_privileges(inside: Connection, database: str) -> None:
    """Rows are for app and operator; making tables, temporary ones too, is for the owner."""
    _say(inside, "SET ROLE {}", OWNER)
    _say(inside, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
    _say(inside, "GRANT CONNECT ON DATABASE {} TO {}, {}", database, APP, OPERATOR)
    _say(inside, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    _say(inside, "GRANT USAGE ON SCHEMA public TO {}, {}, {}", APP, OPERATOR, VAULT)
    _say(inside, "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    for kind, what in GRANTS.items():
        _say(inside, f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {what} ON {kind} TO {{}}, {{}}", APP, OPERATOR)


def _is_superuser(admin: Connection) -> bool:
    return admin.info.parameter_status("is_superuser") == "on"
