"""The embedded servers: what was committed survives, and nothing an earlier start left is in the way."""

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from arbe import server_folders
from arbe.accounts import Account
from arbe.postgres import Postgres, PostgresRefused
from arbe.redis_server import Redis
from tests import services


@pytest.fixture
def folder():
    made = services.open_folder("arbe-embedded-")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def postgres(folder):
    server = Postgres(folder / "postgres")
    server.start()
    yield server
    server.stop()


def test_what_was_committed_survives_a_kill(postgres):
    with psycopg.connect(postgres.url) as admin:
        admin.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.process.send_signal(signal.SIGQUIT)  # no shutdown, as with a crash
    postgres.process.wait(10)

    again = Postgres(postgres.folder)
    again.start()
    with psycopg.connect(again.url) as admin:
        assert admin.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert again.port == postgres.port, "addresses written down elsewhere stay true"
    again.stop()


def test_a_server_left_by_an_earlier_start_is_ended_first(postgres):
    again = Postgres(postgres.folder)
    again.start()
    assert postgres.process.wait(10) == 0
    again.stop()


def test_a_pid_file_that_names_somebody_else_is_forgotten(postgres):
    postgres.stop()
    (postgres.folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    postgres.start()
    assert postgres.process.poll() is None


def test_nobody_comes_in_without_the_password(postgres):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url, password="guess")
    assert not (postgres.folder / "password").stat().st_mode & 0o077


@pytest.mark.parametrize("output", [None, subprocess.PIPE])
def test_a_server_that_cannot_start_says_why(postgres, output):
    postgres.stop()
    (postgres.folder / "data" / "global" / "pg_control").unlink()
    with pytest.raises(PostgresRefused, match="could not find the database system"):
        postgres.start(output)
    postgres.process.stdout and postgres.process.stdout.close()


def test_redis_keeps_what_it_was_told_and_asks_for_its_password(folder):
    server = Redis(folder / "redis")
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("bell", "rung")
    server.stop()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("bell") == b"rung"
    with (
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    server.stop()


def test_a_folder_that_the_account_may_not_enter_is_kept_elsewhere(folder, monkeypatch):
    monkeypatch.setattr(server_folders, "ELSEWHERE", folder / "elsewhere")
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    account = Account(os.getuid() + 4321, os.getgid() + 4321)
    monkeypatch.setattr(server_folders.os, "chown", lambda *_: None)
    assert not account.can_enter(closed)

    found = server_folders.owned_folder(closed / "data", account)
    assert found.parent == folder / "elsewhere"
    assert (closed / "data").resolve() == found
    assert server_folders.owned_folder(closed / "data", account) == found, "the next start finds it again"
    assert closed.stat().st_mode & 0o777 == 0o700, "and nobody's folder was opened for it"


def test_programs_that_the_account_may_not_enter_are_copied_once(folder, monkeypatch):
    monkeypatch.setattr(server_folders, "ELSEWHERE", folder / "elsewhere")
    package: Path = folder / "closed" / "server"
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "run").write_text("it")
    (package.parent).chmod(0o700)
    account = Account(os.getuid() + 4321, os.getgid() + 4321)

    copied = server_folders.installed(package, "server.libs", account)
    assert (copied / "bin" / "run").read_text() == "it"
    assert server_folders.installed(package, "server.libs", account) == copied


def test_two_that_start_at_once_share_one_copy(folder, monkeypatch):
    monkeypatch.setattr(server_folders, "ELSEWHERE", folder / "elsewhere")
    package: Path = folder / "closed" / "server"
    for number in range(200):
        (package / f"part-{number}").mkdir(parents=True)
        (package / f"part-{number}" / "run").write_text("it")
    package.parent.chmod(0o700)
    account = Account(os.getuid() + 4321, os.getgid() + 4321)

    with ThreadPoolExecutor(4) as crowd:
        copies = set(crowd.map(lambda _: server_folders.installed(package, "server.libs", account), range(4)))
    (copied,) = copies
    assert len(list(copied.glob("part-*/run"))) == 200
