"""The vault's keys: an old one still opens, a new one takes everything over, and none is ever lost on the way."""

import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections

from arbe import process_env
from houses import identity, resealing, vault
from houses.models import Secret
from houses.tenancy import inside

ROOT = Path(__file__).resolve().parent.parent.parent
# What comes to it waits, exactly there, for whoever holds it.
HOLD_THE_EIGHTH = """
SELECT id FROM vault.sealed WHERE id = (SELECT id FROM vault.sealed ORDER BY id OFFSET 7 LIMIT 1) FOR UPDATE
"""
NAMES = ["A", "B", "C", "D", "E", "F"]


def new_key():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def sealed(text):
    return identity.Factors().encrypt(text)


@pytest.fixture
def kept(committed, oak, elm, ada, cy):
    """Values of two houses."""
    for house, by in ((oak, ada), (elm, cy)):
        with inside(house, by):
            for name in NAMES:
                Secret.objects.put(name, f"{house} keeps {name}", by=by)


@pytest.fixture
def renew(settings):
    """The installation gets a new key, and keeps the old one."""

    def renewed(keep=True):
        settings.VAULT_OLD_KEYS = (settings.VAULT_KEY,) if keep else ()
        settings.VAULT_KEY = new_key()

    return renewed


@pytest.fixture
def counts(running):
    """How many values each key sealed, as the server's administrator sees it."""

    def counted():
        with psycopg.connect(running.postgres.url, dbname="arbe") as admin:
            return dict(admin.execute("SELECT key_id, count(*) FROM vault.sealed GROUP BY key_id").fetchall())

    return counted


def everything_opens(*houses):
    for house in houses:
        with inside(house):
            assert [one.reveal() for one in Secret.objects.order_by("name")] == [f"{house} keeps {n}" for n in NAMES]


def rotated():
    said = StringIO()
    call_command("rotate_vault_key", stdout=said)
    return said.getvalue()


def test_an_old_key_still_opens_and_the_new_one_seals(kept, oak, elm, ada, renew, counts, settings):
    before = vault.current_key()
    renew()
    everything_opens(oak, elm)
    with inside(oak, ada):
        Secret.objects.put("A", "Oak keeps A", by=ada)
    everything_opens(oak)
    assert counts() == {before: 11, vault.current_key(): 1}


def test_rotating_brings_every_value_of_every_house_under_the_new_key(kept, oak, elm, renew, counts, settings):
    renew()
    assert rotated() == "12 values are sealed with the current key now.\n"
    assert counts() == {vault.current_key(): 12}
    settings.VAULT_OLD_KEYS = ()
    everything_opens(oak, elm)
    assert rotated() == "0 values are sealed with the current key now.\n"


def test_a_missing_key_is_named_and_nothing_is_changed(kept, renew, counts, settings):
    lost = vault.current_key()
    renew(keep=False)
    before = counts()
    with pytest.raises(CommandError, match=f"12 with the key {lost}. Nothing was changed"):
        rotated()
    assert counts() == before


def test_a_value_that_no_key_opens_stays_and_is_counted(kept, running, oak, renew, counts):
    with psycopg.connect(running.postgres.url, dbname="arbe") as admin:
        admin.execute(
            "UPDATE vault.sealed SET box = set_byte(box, 20, get_byte(box, 20) # 1) "
            "WHERE id = (SELECT id FROM vault.sealed ORDER BY id LIMIT 1)"
        )
    renew()
    with pytest.raises(CommandError, match="1 values are left"):
        rotated()
    assert counts()[vault.current_key()] == 11


def test_a_value_put_with_the_old_key_meanwhile_is_brought_over(kept, running, oak, ada, renew, counts, settings):
    """A process that was not started again goes on sealing with what it knows."""
    renew()
    old, new = settings.VAULT_OLD_KEYS[0], settings.VAULT_KEY
    with ThreadPoolExecutor() as aside, psycopg.connect(running.postgres.url, dbname="arbe") as admin:
        admin.execute(HOLD_THE_EIGHTH)
        resealed = aside.submit(reseal_aside, 3)
        until(lambda: counts().get(vault.key_id(new)) == 6)
        settings.VAULT_KEY = old
        with inside(oak, ada):
            Secret.objects.put("LATE", "later", by=ada)
        settings.VAULT_KEY = new
        admin.commit()
        assert resealed.result() == (13, 0)
    assert counts() == {vault.key_id(new): 13}


def reseal_aside(batch):
    try:
        return resealing.reseal(batch)
    finally:
        connections.close_all()


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_in_the_middle_it_loses_nothing_and_goes_on(kept, running, oak, elm, renew, counts, settings):
    renew()
    old, new = vault.key_id(settings.VAULT_OLD_KEYS[0]), vault.current_key()
    given = {
        "ARBE_OWNER_DATABASE_URL": running.urls.owner,
        "ARBE_DATABASE_URL": running.urls.app,
        "ARBE_VAULT_KEY": settings.VAULT_KEY,
        "ARBE_VAULT_OLD_KEYS": ",".join(settings.VAULT_OLD_KEYS),
    }
    with psycopg.connect(running.postgres.url, dbname="arbe") as admin:
        admin.execute(HOLD_THE_EIGHTH)
        argv = [sys.executable, str(ROOT / "manage.py"), "rotate_vault_key", "--batch", "3"]
        command = subprocess.Popen(argv, env=os.environ | given, stdout=subprocess.DEVNULL)
        until(lambda: counts().get(new) == 6 or command.poll() is not None)
        command.send_signal(signal.SIGKILL)
        command.wait()
        assert counts() == {old: 6, new: 6}
        everything_opens(oak, elm)
    # The server may still have done the one batch that it was asked for last.
    assert rotated() in (
        "6 values are sealed with the current key now.\n",
        "3 values are sealed with the current key now.\n",
    )
    assert counts() == {new: 12}
    everything_opens(oak, elm)


def test_the_app_and_the_operator_cannot_look_at_boxes_across_houses(kept, running):
    for url in (running.urls.app, running.urls.operator):
        for asked in ("vault.count_by_key()", "vault.sealed_with('', gen_random_uuid(), 9)", "vault.sealed"):
            with psycopg.connect(url) as role, pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(f"SELECT * FROM {asked}")
        with psycopg.connect(url) as role, pytest.raises(psycopg.errors.InsufficientPrivilege):
            role.execute("SELECT vault.swap('{}', '{}', '{}', '')")


def test_the_owner_swaps_boxes_but_does_not_read_the_table(kept):
    with connections["owner"].cursor() as cursor, pytest.raises(ProgrammingError):
        cursor.execute("SELECT * FROM vault.sealed")


def test_a_box_kept_elsewhere_opens_for_whom_it_was_sealed(settings, renew):
    settings.VAULT_KEY = new_key()
    box = vault.seal(b"an answer", to="ada")
    renew()
    assert b"an answer" not in box and vault.unseal(box, to="ada") == b"an answer"
    for wrong, to in ((box, "bo"), (box[:-1], "ada"), (b"", "ada"), (b"x" * 50, "ada")):
        with pytest.raises(vault.Sealed):
            vault.unseal(wrong, to=to)
    renew(keep=False)
    with pytest.raises(vault.Sealed):
        vault.unseal(box, to="ada")


def test_a_new_key_is_made_beside_the_old_one(tmp_path):
    first = process_env.keys({}, tmp_path)
    assert "ARBE_VAULT_OLD_KEYS" not in first
    process_env.renew_vault_key({}, tmp_path)
    second = process_env.keys({}, tmp_path)
    assert second["ARBE_VAULT_KEY"] != first["ARBE_VAULT_KEY"] == second["ARBE_VAULT_OLD_KEYS"]
    process_env.renew_vault_key({}, tmp_path)
    third = process_env.keys({}, tmp_path)
    assert third["ARBE_VAULT_OLD_KEYS"].split(",") == [first["ARBE_VAULT_KEY"], second["ARBE_VAULT_KEY"]]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_the_key_that_was_in_use_is_not_lost_beside_named_old_ones(tmp_path):
    first = process_env.keys({}, tmp_path)["ARBE_VAULT_KEY"]
    process_env.renew_vault_key({}, tmp_path)
    (tmp_path / "old").write_text("one\ntwo\n")
    for given in ({"ARBE_VAULT_OLD_KEYS": "one,two"}, {"ARBE_VAULT_OLD_KEYS_FILE": str(tmp_path / "old")}):
        told = process_env.keys(given, tmp_path)
        assert told["ARBE_VAULT_OLD_KEYS"] == f"one,two,{first}" and "ARBE_VAULT_OLD_KEYS_FILE" not in told


def test_second_factors_come_along(committed, ada, bo, renew, settings):
    for who, data in ((ada, {"secret": sealed("a")}), (bo, {"migrated_codes": [sealed("c"), sealed("d")]})):
        Authenticator.objects.create(user=who, type="totp", data=data)
    Authenticator.objects.create(user=ada, type="recovery_codes", data={"seed": sealed("s"), "used_mask": 5})
    renew()
    assert "3 second factors are sealed with the current key now." in rotated()
    settings.VAULT_OLD_KEYS = ()
    opened = [identity._resealed(one.data) for one in Authenticator.objects.all()]  # refuses what does not open
    assert identity.reseal_factors() == (0, 0) and {"seed", "used_mask"} in [set(one) for one in opened]


def test_a_factor_that_no_key_opens_is_said_and_asks_no_more(committed, ada, renew):
    Authenticator.objects.create(user=ada, type="totp", data={"secret": sealed("a")})
    renew(keep=False)
    with pytest.raises(CommandError, match="1 second factors are left"):
        rotated()
    with pytest.raises(vault.Sealed, match="no longer has"):
        TOTP(Authenticator.objects.get()).validate_code("000000")


def test_a_key_that_the_operator_names_is_left_to_them(tmp_path, settings, monkeypatch):
    given = {"ARBE_VAULT_KEY_FILE": "/somewhere/key", "ARBE_VAULT_OLD_KEYS_FILE": "/somewhere/old"}
    assert process_env.keys(given, tmp_path).items() >= given.items()
    assert "ARBE_VAULT_KEY" not in process_env.keys(given, tmp_path)
    assert process_env.renew_vault_key(given, tmp_path) is None
    monkeypatch.setenv("ARBE_VAULT_KEY", "named")
    said = StringIO()
    call_command("rotate_vault_key", new=True, stdout=said)
    assert len(base64.urlsafe_b64decode(said.getvalue())) == 32


def test_keys_are_read_from_files(tmp_path, monkeypatch):
    from arbe.environment import env_or_file

    (tmp_path / "old").write_text("one\ntwo\n")
    monkeypatch.setenv("ARBE_VAULT_OLD_KEYS_FILE", str(tmp_path / "old"))
    assert env_or_file("ARBE_VAULT_OLD_KEYS").split() == ["one", "two"]
    monkeypatch.setenv("ARBE_VAULT_OLD_KEYS", "three")
    assert env_or_file("ARBE_VAULT_OLD_KEYS") == "three"
