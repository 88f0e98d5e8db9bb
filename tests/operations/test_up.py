"""One command runs everything, starts again what dies, and ends everything it started."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from arbe import ports
from tests import services

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
UNSAID = ("DATABASE_URL", "REDIS_URL", "STREAMS_URL")

pytestmark = pytest.mark.timeout(240)


class Up:
    """A running `manage.py up`, and what it has said so far."""

    def __init__(self, var: Path, port: int) -> None:
        self.port = port
        env = {name: value for name, value in os.environ.items() if name not in UNSAID and not name.startswith("ARBE_")}
        self.process = subprocess.Popen(
            [sys.executable, str(MANAGE), "up", "--port", str(port)],
            env={**env, "ARBE_VAR": str(var)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def hears(self, pattern: str, within: float = 60) -> str:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if found := re.search(pattern, "\n".join(self.said)):
                return found.group()
            assert self.process.poll() is None or self.reader.is_alive(), "\n".join(self.said)
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} was never said:\n" + "\n".join(self.said))

    def started(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self, queue: str) -> list[psutil.Process]:
        return [child for child in self.started() if child.cmdline()[-2:] == ["worker", queue]]

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(10)
        self.reader.join(5)

    def answers(self) -> int:
        with urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10) as response:
            return int(response.status)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())


@pytest.fixture(scope="module")
def home():
    """The ARBE_VAR of this file's tests; the first makes it, the others find it as it was left."""
    folder = services.open_folder("arbe-up-")
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def port():
    return ports.free_port()


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_until(true, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def test_it_answers_mends_itself_and_ends_what_it_started(home, port):
    with Up(home, port) as up:
        up.hears("arbe is at http://127.0.0.1")
        assert up.answers() == 200
        up.hears("once, with this link:\n *http://127.0.0.1")

        victim = up.workers("runs")[0]
        victim.kill()
        up.hears(r"runs \d +ended \(killed by SIGKILL\); starting it again")
        wait_until(lambda: len(up.workers("runs")) == 2 and victim not in up.workers("runs"))

        with Up(home, ports.free_port()) as second:
            assert second.process.wait(30) == 1
            second.hears("arbe already runs from")

        started = up.started()
        up.end(signal.SIGTERM)
        assert up.process.returncode == 0
        assert not [process for process in started if is_alive(process)]
    log = (home / "arbe.log").read_text()
    assert "Everything has ended." in log
    assert "/sign-in/" not in log, "a link that signs somebody in is not for the log"
    for private in (home / "arbe.env", home / "arbe.log", *(home / "keys").iterdir()):
        assert not private.stat().st_mode & 0o077


def test_killed_outright_it_leaves_nothing_running_and_starts_again(home, port):
    with Up(home, port) as up:
        up.hears("arbe is at http://127.0.0.1")
        started = up.started()
        up.process.kill()
        wait_until(lambda: not any(map(is_alive, started)), within=10)
    with Up(home, port) as up:
        up.hears("arbe is at http://127.0.0.1")
        assert up.answers() == 200
        up.end(signal.SIGINT)
        assert up.process.returncode == 0


def test_a_taken_port_is_refused_with_a_sentence(home, port):
    with Up(home, port) as up:
        up.hears("Bringing the tables")  # so: past taking the lock
        up.end(signal.SIGHUP)
    with socket.create_server(("127.0.0.1", port)), Up(home, port) as up:
        assert up.process.wait(30) == 1
        up.hears(f"Port {port} on 127.0.0.1 is taken by another program; choose one with --port.")
