"""A command on this machine, from outside: a folder that its warden writes and everyone else reads."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandboxes import inputs, lifetimes
from sandboxes.provider import Exit, ProviderError, Reason
from sandboxes.wardens import WARDENS

STOPPING = 1.8  # its warden gives it less; after this it is ended over the warden's head
UNCLAIMED = 30.0  # after this long without a warden nobody is about to start it


@dataclass(frozen=True)
class Process:
    """`folder/{output,input,exit.json,warden.pid,inside.pid,stop}`."""

    folder: Path

    def start(self, order: dict[str, Any]) -> None:
        """Once, whoever asks and however often: wardens settle between them who has the folder."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        if self._has("warden.pid"):
            return
        WARDENS.send({**order, "folder": str(self.folder)})
        if not self._has("warden.pid"):
            why = self._read("warden.log")[-500:]
            raise ProviderError(f"The command could not be started: {why}", permanent=False)

    def send(self, key: str, data: bytes) -> None:
        if not key:
            raise ProviderError("What is sent has a key.", permanent=True)
        self._add(key, data)

    def close_input(self) -> None:
        self._add("", b"")

    def _add(self, key: str, data: bytes) -> None:
        try:
            self.folder.mkdir(exist_ok=True, mode=0o700)  # what is said before it is started, it reads first
            inputs.add(str(self.folder / "input"), key, data)
        except FileNotFoundError as gone:
            raise ProviderError("There is no such process.", permanent=True) from gone
        except inputs.InputClosed as closed:
            raise ProviderError("Its standard input has ended.", permanent=True) from closed
        lifetimes.send(self._read("warden.pid"), signal.SIGURG)  # which, before it listens, does nothing

    def read(self, offset: int, limit: int) -> bytes:
        try:
            with open(self.folder / "output", "rb", buffering=0) as file:
                return os.pread(file.fileno(), limit, offset)
        except FileNotFoundError:
            return b""

    def wait(self, offset: int, timeout: float) -> bool:
        pause, end = 0.002, time.monotonic() + timeout
        while True:
            if self._printed() > offset or self.poll() is not None:
                return True
            if (left := end - time.monotonic()) <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 1.05, 0.02)

    def poll(self) -> Exit | None:
        if (ended := self._ended()) is not None:
            return ended
        if self._is_running():
            return None
        self.kill()
        # It may have written its last word between the two looks.
        reason: Reason = "stopped" if self._has("stop") else "lost"
        return self._ended() or Exit(reason=reason, output_bytes=self._printed())

    def stop(self) -> None:
        if not self.folder.is_dir() or self.poll() is not None:
            return
        self.ask_to_end()
        end = time.monotonic() + STOPPING
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if self.poll() is None:
            self.kill()

    def ask_to_end(self) -> None:
        (self.folder / "stop").touch(mode=0o600)  # for a warden that only just starts, or is killed: it is not lost
        lifetimes.send(self._read("warden.pid"), signal.SIGTERM)

    def is_alive(self) -> bool:
        """Whether its warden, or what that watches over, still runs."""
        return any(lifetimes.is_alive(self._read(name)) for name in ("warden.pid", "inside.pid"))

    def kill(self) -> None:
        """The warden takes everything inside with it; the first process inside is ended by name as well, to be sure."""
        for name in ("warden.pid", "inside.pid"):
            lifetimes.send(self._read(name), signal.SIGKILL)
        inside, end = self._read("inside.pid"), time.monotonic() + STOPPING
        while lifetimes.is_alive(inside) and time.monotonic() < end:
            time.sleep(0.005)

    def _has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return ""

    def _printed(self) -> int:
        try:
            return (self.folder / "output").stat().st_size
        except FileNotFoundError:
            return 0

    def _ended(self) -> Exit | None:
        try:
            facts = json.loads(self._read("exit.json"))
        except ValueError:
            return None
        for moment in ("started_at", "finished_at"):
            facts[moment] = datetime.fromtimestamp(facts[moment], UTC)
        return Exit(**facts)

    def _is_running(self) -> bool:
        if warden := self._read("warden.pid"):
            return lifetimes.is_alive(warden)
        try:
            return time.time() - self.folder.stat().st_mtime < UNCLAIMED
        except FileNotFoundError:
            return False
