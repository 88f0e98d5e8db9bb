"""Embedded Postgres and Redis for a test session, in a folder of their own that goes away with them."""

import secrets
import shutil
import socket
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import uvicorn
from psycopg import sql
from redis import StrictRedis

from arbe import roles
from arbe.postgres import Postgres
from arbe.redis_server import Redis
from streams import client
from streams.serving import alone


def open_folder(prefix: str = "arbe-test-") -> Path:
    """A temporary folder that the account of an embedded server may enter; the caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


@dataclass
class Services:
    """The two servers, and how each role of arbe reaches the database `arbe`."""

    folder: Path
    postgres: Postgres
    redis: Redis
    urls: roles.Urls
    passwords: dict[str, str]

    def database(self, name: str) -> roles.Urls:
        """Another empty database on the same server, with the same roles and privileges."""
        return roles.bootstrap(self.postgres.url, self.passwords, name)

    def drop(self, name: str) -> None:
        with psycopg.connect(self.postgres.url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def empty(self) -> None:
        """Take every row of arbe's out again, and every call from the queues."""
        with psycopg.connect(self.postgres.url, dbname="arbe") as admin:
            # Without triggers and foreign keys; for a few rows that is faster than TRUNCATE.
            admin.execute("SET lock_timeout = '10s'; SET session_replication_role = replica")
            tables = admin.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'vault') "
                "AND tablename NOT IN ('django_migrations', 'django_content_type', 'auth_permission')"
            ).fetchall()
            delete = sql.SQL("; ").join(
                # The tools of the installation came with the tables.
                sql.SQL("DELETE FROM {}" + (" WHERE house_id IS NOT NULL" if table[1] == "tools" else "")).format(
                    sql.Identifier(*table)
                )
                for table in tables
            )
            admin.execute(delete)
        with StrictRedis.from_url(self.redis.url) as redis:
            redis.flushall()

    def stop(self) -> None:
        self.redis.stop()
        self.postgres.stop()
        data = self.folder / "postgres" / "data"
        if data.is_symlink():
            shutil.rmtree(data.resolve())
        shutil.rmtree(self.folder)


class StreamServer:
    """A stream server of our own on a loopback port; it may be ended and started again over the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = alone.server(str(self.folder), port=self.port, long_poll=2)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_for(self._server, self._thread)

    def stop(self) -> None:
        if not hasattr(self, "_server"):
            return
        self._server.hang_up()
        self._server.should_exit = True
        self._thread.join(20)


def wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Until it serves, which it does soon or never."""
    end = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server ended before it served"
        assert time.monotonic() < end, "the server does not begin to serve"
        time.sleep(0.005)


def hang_up() -> None:
    """Close the clients of streams that this process keeps; whoever asks next gets a new one."""
    while client._clients:
        client._clients.popitem()[1].close()


def start() -> Services:
    """Start both; whoever starts them stops them."""
    folder = open_folder()
    postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
    # Asks the kernel to end the servers with the thread that started them, so: this thread, not a pool's.
    redis.start()
    postgres.start()
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives the session
        admin.execute("SELECT pg_reload_conf()")
    passwords = {role: secrets.token_urlsafe(16) for role in (roles.OWNER, roles.APP, roles.OPERATOR)}
    return Services(folder, postgres, redis, roles.bootstrap(postgres.url, passwords), passwords)
