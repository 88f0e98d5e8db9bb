"""Embedded Postgres and Redis for a test session, in a folder of their own that goes away with them."""

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from redis import StrictRedis

from arbe import roles
from arbe.postgres import Postgres
from arbe.redis_server import Redis


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
        """Take every row of arbe's out again, and every call from the queues; the app role could not."""
        with psycopg.connect(self.urls.owner) as owner:
            owner.execute("SET lock_timeout = '10s'")
            rows = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            kept = ("django_migrations", "django_content_type", "auth_permission")
            tables = [sql.Identifier(name) for (name,) in rows if name not in kept]
            owner.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))
            owner.execute("SET LOCAL ROLE arbe_vault")
            owner.execute("TRUNCATE vault.sealed")
        with StrictRedis.from_url(self.redis.url) as redis:
            redis.flushall()

    def stop(self) -> None:
        self.redis.stop()
        self.postgres.stop()
        data = self.folder / "postgres" / "data"
        if data.is_symlink():
            shutil.rmtree(data.resolve())
        shutil.rmtree(self.folder)


def start() -> Services:
    """Start both; whoever starts them stops them."""
    folder = open_folder()
    postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
    # Asks the kernel to end the servers with the thread that started them, so: this thread, not a pool's.
    redis.start()
    postgres.start()
    passwords = {role: secrets.token_urlsafe(16) for role in (roles.OWNER, roles.APP, roles.OPERATOR)}
    return Services(folder, postgres, redis, roles.bootstrap(postgres.url, passwords), passwords)
