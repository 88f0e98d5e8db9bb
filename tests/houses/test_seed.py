"""The tables are those of the seed: its columns, defaults, checks, keys, indexes and its trigger, written down here."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError

from houses.tenancy import inside
from tests.houses.furniture import sql

NOW = ("now()", "statement_timestamp()")  # the seed's clock, and Django's, which tells rows of one transaction apart
ID = ("text", False, ("generate_short_id()",))
TEXT, NULLABLE = ("text", False, None), ("text", True, None)
STAMP, MOMENT = ("timestamp with time zone", False, NOW), ("timestamp with time zone", True, None)
UUID, MAYBE = ("uuid", False, None), ("uuid", True, None)
COLUMNS = {
    "houses": {"id": ID, "name": TEXT, "default_environment_id": NULLABLE, "created_at": STAMP},
    "agents": {
        "id": ("uuid", False, ("gen_random_uuid()",)),
        "kind": TEXT,
        "runtime": NULLABLE,
        "name": NULLABLE,
        "created_at": STAMP,
    },
    "members": {"house_id": TEXT, "agent_id": UUID, "role": TEXT, "joined_at": STAMP},
    "environments": {
        "id": ID,
        "house_id": TEXT,
        "name": TEXT,
        "config": ("jsonb", False, ("'{}'::jsonb",)),
        "secret_bindings": ("jsonb", False, ("'[]'::jsonb",)),
        "created_at": STAMP,
    },
    "secrets": {"id": ID, "house_id": TEXT, "name": TEXT, "vault_secret_id": UUID, "created_at": STAMP},
    "sandboxes": {
        "id": ID,
        "house_id": TEXT,
        "environment_id": TEXT,
        "provider": TEXT,
        "provider_ref": NULLABLE,
        "status": ("text", False, ("'pending'::text",)),
        "created_at": STAMP,
        "destroyed_at": MOMENT,
    },
    "threads": {
        "id": ID,
        "house_id": TEXT,
        "stream_id": TEXT,
        "name": NULLABLE,
        "pinned_at": MOMENT,
        "parent_thread_id": NULLABLE,
        "parent_agent_id": MAYBE,
        "environment_id": NULLABLE,
        "sandbox_id": NULLABLE,
        "agent_id": MAYBE,
        "tags": ("text[]", False, ("'{}'::text[]",)),
        "status": ("text", False, ("'open'::text",)),
        "created_at": STAMP,
        "updated_at": STAMP,
    },
}
OF_HOUSE = "FOREIGN KEY (house_id) REFERENCES houses(id) ON DELETE CASCADE"
KEYS = {
    "houses": {"PRIMARY KEY (id)"},
    "agents": {"PRIMARY KEY (id)"},
    "members": {
        "PRIMARY KEY (house_id, agent_id)",
        "FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE",
        OF_HOUSE,
    },
    "environments": {"PRIMARY KEY (id)", "UNIQUE (house_id, id)", OF_HOUSE},
    "secrets": {"PRIMARY KEY (id)", "UNIQUE (house_id, name)", "UNIQUE (house_id, id)", OF_HOUSE},
    "sandboxes": {
        "PRIMARY KEY (id)",
        "UNIQUE (house_id, id)",
        "FOREIGN KEY (house_id, environment_id) REFERENCES environments(house_id, id)",
        OF_HOUSE,
    },
    "threads": {
        "PRIMARY KEY (id)",
        "UNIQUE (house_id, id)",
        "UNIQUE (stream_id)",
        "FOREIGN KEY (parent_agent_id) REFERENCES agents(id) ON DELETE CASCADE",
        "FOREIGN KEY (house_id, agent_id) REFERENCES members(house_id, agent_id)",
        "FOREIGN KEY (house_id, environment_id) REFERENCES environments(house_id, id)",
        "FOREIGN KEY (house_id, sandbox_id) REFERENCES sandboxes(house_id, id) ON DELETE SET NULL (sandbox_id)",
        "FOREIGN KEY (house_id, parent_thread_id) REFERENCES threads(house_id, id) ON DELETE CASCADE",
        OF_HOUSE,
    },
}
BESIDES_THE_SEED = {
    "agents": {"UNIQUE (email)"},
    "secrets": {"FOREIGN KEY (rotated_by_id) REFERENCES agents(id) DEFERRABLE INITIALLY DEFERRED"},
}
INDEXES = {
    "members": {"btree (agent_id)"},
    "environments": {"btree (house_id)", "gin (secret_bindings)"},
    "secrets": {"btree (house_id)"},
    "sandboxes": {"btree (house_id)"},
    "threads": {
        "btree (house_id)",
        "btree (parent_thread_id)",
        "btree (sandbox_id)",
        "btree (house_id) WHERE (pinned_at IS NOT NULL)",
        "gin (tags)",
    },
}


@pytest.mark.parametrize("table", COLUMNS)
def test_columns(db, table):
    found = {
        name: (kind, not required, default)
        for name, kind, required, default in sql(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) "
            "FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            table,
        )
    }
    for name, (kind, nullable, defaults) in COLUMNS[table].items():
        assert found[name][:2] == (kind, nullable), name
        assert found[name][2] in (defaults or (None,)), name


@pytest.mark.parametrize("table", KEYS)
def test_keys(db, table):
    found = sql(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN "
        "('p', 'u', 'f')",
        table,
    )
    assert KEYS[table] <= {key for (key,) in found}
    assert {key for (key,) in found} - KEYS[table] == BESIDES_THE_SEED.get(table, set())


@pytest.mark.parametrize("table", INDEXES)
def test_access_paths(db, table):
    found = sql("SELECT indexdef FROM pg_indexes WHERE tablename = %s", table)
    assert INDEXES[table] <= {index.partition(" USING ")[2] for (index,) in found}


@pytest.mark.parametrize(
    ("table", "change", "check"),
    [
        ("members", "role = 'king'", "a_member_owns_or_belongs"),
        ("sandboxes", "status = 'asleep'", "a_sandbox_is_pending_live_or_dead"),
        ("threads", "status = 'open'", "chats_and_driven_threads_have_their_own_words"),
        ("threads", "agent_id = NULL, status = 'idle'", "chats_and_driven_threads_have_their_own_words"),
        ("threads", "agent_id = NULL, status = 'stuck'", "chats_and_driven_threads_have_their_own_words"),
        ("threads", "status = 'blocked'", "chats_and_driven_threads_have_their_own_words"),
        ("threads", "parent_agent_id = agent_id", "a_thread_has_at_most_one_parent"),
    ],
)
def test_checks(in_oak, oak, table, change, check):
    with pytest.raises(IntegrityError, match=check), inside(oak):
        sql(f"UPDATE {table} SET {change} WHERE {'parent_thread_id IS NOT NULL' if table == 'threads' else 'true'}")


@pytest.mark.parametrize("status", ["idle", "running", "completed", "failed", "cancelled"])
def test_a_driven_thread_has_five_states(in_oak, oak, status):
    with inside(oak):
        assert sql("UPDATE threads SET status = %s WHERE agent_id IS NOT NULL", status) == 1


def test_a_driven_thread_may_stand_alone(in_oak, oak):
    with inside(oak):
        assert sql("UPDATE threads SET parent_thread_id = NULL WHERE agent_id IS NOT NULL") == 1


def test_the_database_knows_every_default(oak, ada):
    with inside(oak, ada):
        for insert in (
            "INSERT INTO environments (house_id, name) VALUES (%s, 'plain')",
            "INSERT INTO sandboxes (house_id, environment_id, provider) SELECT %s, id, 'local' FROM environments",
            "INSERT INTO threads (house_id, stream_id) VALUES (%s, 'anywhere')",
            "INSERT INTO streams (house_id) VALUES (%s)",
        ):
            assert sql(insert, oak.pk) == 1
        (thread,) = sql("SELECT status, tags, updated_at = created_at, length(id) FROM threads")
        assert thread == ("open", [], True, 12)


def test_one_value_per_name_and_house(in_oak, oak):
    with pytest.raises(IntegrityError, match="one_value_per_name_and_house"), inside(oak):
        sql("INSERT INTO secrets (house_id, name, vault_secret_id) VALUES (%s, 'API_KEY', gen_random_uuid())", oak.pk)


def test_any_change_of_a_thread_moves_its_updated_at(committed, in_oak, oak):
    with inside(oak):
        before = dict(sql("SELECT id, updated_at FROM threads"))
    with inside(oak):
        sql("UPDATE threads SET name = 'x', updated_at = '2000-01-01'")
        assert all(after > before[pk] for pk, after in sql("SELECT id, updated_at FROM threads"))


def test_no_thread_was_updated_before_it_was_made(oak, ada):
    """In one transaction too, where `now()` stands still and statements do not."""
    with inside(oak, ada):
        sql("INSERT INTO threads (house_id, stream_id) VALUES (%s, 'anywhere')", oak.pk)
        sql("UPDATE threads SET name = 'x'")
        assert sql("SELECT updated_at >= created_at FROM threads") == [(True,)]


def test_short_ids_are_twelve_characters_without_look_alikes(db):
    made = [short for (short,) in sql("SELECT generate_short_id() FROM generate_series(1, 2000)")]
    assert len(set(made)) == 2000 and {len(short) for short in made} == {12}
    assert set("".join(made)) == set("23456789abcdefghijkmnpqrstuvwxyz")


def test_a_short_id_comes_back_with_the_row(oak):
    assert len(oak.pk) == 12


def test_the_migrations_say_what_the_models_say(committed):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
