"""Everything arbe is made of, on one machine: what `manage.py up` starts, in which order, and how it ends."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from arbe import accounts, children, leftovers, preflight, process_env, server_folders
from arbe.console import Console
from arbe.postgres import Postgres
from arbe.redis_server import Redis
from arbe.supervisor import Ending, Kept, Supervisor
from sandboxes.local import Local

CHECKOUT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(CHECKOUT / "manage.py")]
# Of each kind two, so that one that was killed is not missed until it is back.
WORKERS = {"commands 1": "commands", "commands 2": "commands", "runs 1": "runs", "runs 2": "runs"}
# What Postgres and Redis say at every start and every end.
HUSH = "|".join(
    [
        r"^LOG:  (starting PostgreSQL|listening on|database system (was|is) (shut down|ready))",
        r"^LOG:  (received fast shutdown|aborting any active)",
        r"^LOG:  (shutting down|background worker \"logical replication launcher\")",
        r"^FATAL:  the database system is (starting|not yet accepting)|^DETAIL:  Consistent recovery state",
        r" # (Reading config|oO0OoO0|Redis version=|Configuration loaded|Server initialized|WARNING Memory overcommit)",
        r" # (User requested shutdown|Redis is now ready to exit)|signal-handler .* Received SIGTERM",
    ]
)
# Seconds that each group is given to end by itself, in the order they are asked; together under ten.
WORK_ENDS, WEB_ENDS, COMMANDS_END, REDIS_ENDS, POSTGRES_ENDS = 2.5, 2.5, 1.5, 1.0, 2.0


@dataclass(frozen=True)
class Place:
    """Where arbe keeps its files and where it answers."""

    var: Path
    host: str
    port: int


class Up:
    """One `up`: `run()` comes back when all of it has ended."""

    def __init__(self, place: Place, given: Mapping[str, str]) -> None:
        self.place = place
        self.given = given
        self.began = time.monotonic()
        self.machines = Local(place.var / "sandboxes")
        server_folders.passable_folder(place.var, accounts.unprivileged())

    def run(self) -> None:
        """Raises `CannotStart`, `Failed` or a refusal of a service, and then nothing is left running."""
        with self._alone():
            console = Console(self.place.var / "arbe.log", hush=HUSH)
            self.supervisor = Supervisor(console)
            self._look_around()
            self.supervisor.changed = lambda pids: leftovers.record(self._record, pids)
            self.supervisor.hear_signals()
            try:
                self._start()
                self._greet()
                while True:
                    self.supervisor.tick()
            except Ending:
                self._say("Ending…")
            finally:
                self._end()

    # Starting

    def _look_around(self) -> None:
        if count := leftovers.end(self._record):
            self._say(f"Ended {count} processes that an earlier start left behind.")
        preflight.refuse_if_impossible(self.place.host, self.place.port)
        for sentence in preflight.missing(self.machines):
            self._say(sentence)

    def _start(self) -> None:
        self._start_services()
        self._say("Bringing the tables up to date…")
        # One process for all of it: starting Python is what takes the time.
        self.supervisor.run_once("prepare", [*MANAGE, "prepare", "--link-to", str(self._link)], self.env)
        self._keep("web", [sys.executable, "-m", "uvicorn", "arbe.asgi:application", *self._uvicorn_options()])
        while not self._answers():
            self.supervisor.tick()
        for name, queue in WORKERS.items():
            self._keep(name, [*MANAGE, "worker", queue])
        self._keep("scheduler", [*MANAGE, "scheduler"])
        if self.given.get("ARBE_METRICS"):
            self._keep("metrics", [*MANAGE, "metrics"])

    def _start_services(self) -> None:
        """Postgres and Redis, unless others were named; then everything the processes have to be told."""
        given, var, place = self.given, self.place.var, self.place
        told = process_env.keys(given, var) | process_env.addresses(given, place.host, place.port)
        told |= process_env.local_models(given, place.host, told)
        told["REDIS_URL"] = given.get("REDIS_URL") or self._embed("redis", Redis(var / "redis"), signal.SIGTERM)
        admin = given.get("DATABASE_URL", "")
        if process_env.needs_postgres(given):
            admin = self._embed("postgres", Postgres(var / "postgres"), signal.SIGINT)
        told |= process_env.databases(given, var, admin)
        if where := given.get("ARBE_METRICS"):
            told["ARBE_METRICS"] = where
            shutil.rmtree(var / "metrics", ignore_errors=True)  # what an earlier start counted
        process_env.write(var, told)
        self.env = {**given, **told, "ARBE_VAR": str(var), "PYTHONUNBUFFERED": "1"}
        self.env.pop("DATABASE_URL", None)  # the administrator's: none of arbe's own processes needs it

    def _embed(self, name: str, server: Postgres | Redis, ends_by: signal.Signals) -> str:
        self.supervisor.keep(Kept(name, lambda: server.start(subprocess.PIPE), ends_by))
        if (server.folder / "data").is_symlink():
            there = (server.folder / "data").resolve()
            self._say(f"{name} keeps its data in {there}, as its account may not enter {self.place.var}.")
        return server.url

    def _keep(self, name: str, argv: list[str]) -> None:
        start = partial(children.spawn, argv, env=self.env, cwd=CHECKOUT, output=subprocess.PIPE)
        self.supervisor.keep(Kept(name, start))

    def _uvicorn_options(self) -> list[str]:
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header"]
        options += ["--no-proxy-headers"]  # which header counts is for arbe's own settings to say
        options += ["--lifespan", "on"]  # without its streams it is no web process: it says why, and is started again
        graceful = ["--timeout-graceful-shutdown", str(int(WEB_ENDS) - 1)]
        return ["--host", self.place.host, "--port", str(self.place.port), *options, *graceful]

    def _greet(self) -> None:
        self._say(f"arbe is at {self.env['ARBE_URL']} (after {time.monotonic() - self.began:.1f} s; Ctrl-C ends it)")
        link = self._link.read_text()
        self._link.unlink()
        if link:
            # Whoever has it is signed in as the first owner: for the eyes in front of this terminal, not for the log.
            self.supervisor.console.show(f"\n    Sign in for the first time, once, with this link:\n    {link}\n")

    def _answers(self) -> bool:
        local = urlsplit(process_env.addresses({}, self.place.host, self.place.port)["STREAMS_URL"])
        connection = HTTPConnection(str(local.hostname), local.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status < 500
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    # Ending

    def _end(self) -> None:
        self._end_group(["scheduler", *WORKERS], WORK_ENDS)
        self._end_group(["web", "metrics"], WEB_ENDS)
        if count := self.machines.end_all(COMMANDS_END):
            self._say(f"Stopped {count} running commands.")
        self._end_group(["redis"], REDIS_ENDS)
        self._end_group(["postgres"], POSTGRES_ENDS)
        self._record.unlink(missing_ok=True)
        self._say("Everything has ended.")
        self.supervisor.console.close()

    def _end_group(self, names: list[str], patience: float) -> None:
        self.supervisor.end([one for one in self.supervisor.kept if one.name in names], patience)

    # Alone

    @property
    def _link(self) -> Path:
        return self.place.var / "first-link"

    @property
    def _record(self) -> Path:
        return self.place.var / "up.processes"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with open(self.place.var / "up.lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise preflight.CannotStart(
                    f"arbe already runs from {self.place.var} (process {lock.read().strip() or 'unknown'}); "
                    "end that one first, or set ARBE_VAR to another folder."
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def _say(self, line: str) -> None:
        self.supervisor.console.say("up", line)
