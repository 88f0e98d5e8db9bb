"""A whole arbe, started with its one command."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from arbe import ports
from tests import services
from tests.runtimes import FOLDER

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
UNSAID = ("DATABASE_URL", "REDIS_URL", "STREAMS_URL")
FIRST_OWNER = "owner@localhost"


class System:
    """`manage.py up` in a folder of its own; it can be ended and started again in the same place."""

    def __init__(self) -> None:
        self.folder = services.open_folder("arbe-acceptance-")
        self.var, self.said = self.folder / "var", self.folder / "said"
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {k: v for k, v in os.environ.items() if k not in UNSAID and not k.startswith("ARBE_")}
        own = {"ARBE_VAR": str(self.var), "ARBE_RATE_LIMIT": "0", "ARBE_RUNTIMES": str(FOLDER)}
        self.env = {**inherited, **own}
        self.clients: list[httpx.Client] = []

    def start(self) -> None:
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(MANAGE), "up", "--port", str(self.port)],
                env=self.env,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        until(lambda: self.process.poll() is not None or b"arbe is at" in self.said.read_bytes(), 90)
        assert self.process.poll() is None, self.said.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM, within: float = 10) -> list[psutil.Process]:
        """Everything that ran, asked to end; raises if that takes longer."""
        ran = [psutil.Process(self.process.pid), *self.processes()]
        self.process.send_signal(number)
        self.process.wait(within)
        return ran

    @property
    def told(self) -> dict[str, str]:
        """What `up` tells the processes that it starts."""
        lines = (self.var / "arbe.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def client(self, **options: Any) -> httpx.Client:
        self.clients.append(httpx.Client(base_url=self.url, timeout=60, **options))
        return self.clients[-1]

    def remove(self) -> None:
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.end()
        data = self.var / "postgres" / "data"
        if data.is_symlink():
            shutil.rmtree(data.resolve())
        shutil.rmtree(self.folder)

    def processes(self, *words: str) -> list[psutil.Process]:
        """What `up` started, and all that these started; those alone whose command line has the words."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in found if set(words) <= set(command_line(one))]

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, str(MANAGE), *words], env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def until(true: Callable[[], Any], within: float = 30, pause: float = 0.05) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"it did not come true within {within:g} s"
        time.sleep(pause)


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def running(*words: str) -> list[psutil.Process]:
    """Processes of the whole machine, inside sandboxes too, with these words on their command line."""
    return [one for one in psutil.process_iter() if set(words) <= set(command_line(one)) and is_alive(one)]
