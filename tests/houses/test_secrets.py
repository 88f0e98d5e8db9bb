"""Secrets: written, handed to what runs, and nowhere to be read."""

import psycopg
import pytest

from houses import vault
from houses.giving import give
from houses.models import Secret
from houses.refusals import Forbidden, Invalid
from houses.tenancy import inside
from houses.vault import Sealed
from tests.houses.furniture import sql

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def key(oak, ada):
    with inside(oak, ada):
        return Secret.objects.put("API_KEY", VALUE, by=ada)


def test_a_value_is_kept_and_opened(oak, key):
    with inside(oak):
        assert Secret.objects.get().reveal() == VALUE


def test_a_new_value_replaces_the_old_one_for_good(oak, ada, key):
    with inside(oak, ada):
        again = Secret.objects.put("API_KEY", "another", by=ada)
        assert (again.pk, again.reveal()) == (key.pk, "another")
        with pytest.raises(Sealed):
            vault.open_value(key.vault_secret_id)


def test_a_new_value_is_another_version_and_says_who_replaced_it(oak, ada, bo, key):
    with inside(oak, ada):
        assert (key.version, key.rotated_at, key.rotated_by) == (1, None, None)
        give(bo, oak, "rwx", by=ada)
    with inside(oak, bo):
        again = Secret.objects.put("API_KEY", "another", by=bo)
        again.refresh_from_db()
        assert (again.version, again.rotated_by) == (2, bo) and again.rotated_at > again.created_at


def test_a_token_that_may_not_manage_keeps_nothing(oak, ada, key):
    ada.cap = "rw"
    with inside(oak, ada):
        with pytest.raises(Forbidden):
            Secret.objects.put("API_KEY", "mine", by=ada)
        with pytest.raises(Forbidden):
            key.forget(by=ada)


@pytest.mark.parametrize("name", ["ARBE_TOKEN", "ARBE_ANYTHING"])
def test_a_secret_does_not_take_the_name_of_what_arbe_tells_a_command(oak, ada, name):
    with inside(oak, ada), pytest.raises(Invalid, match="arbe's own"):
        Secret.objects.put(name, VALUE, by=ada)


def test_only_owners_keep_and_forget(oak, bo, key):
    with inside(oak, bo):
        with pytest.raises(Forbidden):
            Secret.objects.put("API_KEY", "mine", by=bo)
        with pytest.raises(Forbidden):
            key.forget(by=bo)
        assert key.reveal() == VALUE


def test_forgetting_forgets_the_value_too(oak, ada, key):
    with inside(oak, ada):
        vault_id = key.vault_secret_id
        key.forget(by=ada)
        assert not Secret.objects.exists()
        with pytest.raises(Sealed):
            vault.open_value(vault_id)


@pytest.mark.parametrize("name", ["", "lower", "1ST", "A B", "A-B", "Ä", "A" * 101, "A\0", "A\n"])
def test_a_name_is_what_a_program_finds_it_by(oak, ada, name):
    with inside(oak, ada), pytest.raises(Invalid):
        Secret.objects.put(name, VALUE, by=ada)


@pytest.mark.parametrize("value", ["", "x" * 65537, "a\0b", "\ud800"])
def test_a_value_is_text_that_a_program_can_be_given(oak, ada, value):
    with inside(oak, ada), pytest.raises(Invalid):
        Secret.objects.put("API_KEY", value, by=ada)


def test_next_door_opens_nothing(oak, elm, key):
    with inside(elm), pytest.raises(Sealed):
        vault.open_value(key.vault_secret_id)
    with pytest.raises(Sealed):
        vault.open_value(key.vault_secret_id)
    with inside(elm):
        vault.drop(key.vault_secret_id)
    with inside(oak):
        assert key.reveal() == VALUE


def test_another_key_opens_nothing(oak, key, settings):
    settings.VAULT_KEY = settings.VAULT_KEY[::-1].replace("=", "") + "="
    with inside(oak), pytest.raises(Sealed, match="put its value in again"):
        key.reveal()


def test_the_value_is_in_no_column_of_any_table(committed, running, key):
    """Of every table of every schema, as the server's own administrator sees it."""
    with psycopg.connect(running.postgres.url, dbname="arbe") as admin:
        tables = admin.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'vault')"
        ).fetchall()
        everything = "".join(
            str(admin.execute(f'SELECT t::text FROM "{schema}"."{table}" t').fetchall()) for schema, table in tables
        )
    assert "API_KEY" in everything
    assert VALUE not in everything and VALUE.encode().hex() not in everything


def test_a_box_carried_to_another_house_does_not_open(committed, running, oak, elm, key):
    with psycopg.connect(running.urls.owner) as owner:
        owner.execute("SET ROLE arbe_vault")
        owner.execute("UPDATE vault.sealed SET house_id = %s", [elm.pk])
    with inside(elm), pytest.raises(Sealed):
        vault.open_value(key.vault_secret_id)


def test_a_box_that_was_tampered_with_does_not_open(committed, running, oak, key):
    with psycopg.connect(running.urls.owner) as owner:
        owner.execute("SET ROLE arbe_vault")
        owner.execute("UPDATE vault.sealed SET box = set_byte(box, 20, get_byte(box, 20) # 1)")
    with inside(oak), pytest.raises(Sealed):
        key.reveal()


def test_the_same_value_is_never_sealed_the_same(committed, running, oak, ada):
    with inside(oak, ada):
        for name in ("ONE", "TWO"):
            Secret.objects.put(name, VALUE, by=ada)
    with psycopg.connect(running.postgres.url, dbname="arbe") as admin:
        assert admin.execute("SELECT count(DISTINCT box) FROM vault.sealed").fetchone() == (2,)


def test_nothing_is_sealed_outside_of_a_house(db):
    with pytest.raises(Exception, match="null value"):
        vault.put(VALUE)


def test_rotating_a_password_cannot_show_it(oak, key):
    with inside(oak):
        assert VALUE not in repr(key.__dict__) and VALUE not in str(sql("SELECT * FROM secrets"))
