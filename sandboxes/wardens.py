"""Starts wardens, and keeps one started ahead: an interpreter takes longer to begin than a command."""

from __future__ import annotations

import atexit
import marshal
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock, Timer
from typing import Any

START = "import sys; sys.path.append(sys.argv[1]); from sandboxes.warden import main; main()"
ABOVE = str(Path(__file__).resolve().parent.parent)
PATIENCE = 30.0
SOON = 0.1


class Wardens:
    """Those of one process; the one that is ready waits for its order and ends with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ready: subprocess.Popen[bytes] | None = None

    def send(self, order: dict[str, Any]) -> None:
        """Gives the order to one; on return it has claimed its folder, or found it claimed."""
        with self._lock:
            warden, self._ready = self._ready, None
        if warden is None or warden.poll() is not None:
            warden = _begin()
        try:
            warden.communicate(marshal.dumps(order), timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            warden.kill()
            warden.communicate()
        # Not at once: the beginning of an interpreter would be in the way of the command that has just begun.
        soon = Timer(SOON, self.keep_one_ready)
        soon.daemon = True
        soon.start()

    def keep_one_ready(self) -> None:
        with self._lock:
            if self._ready is None:
                self._ready = _begin("ahead")

    def dismiss(self) -> None:
        with self._lock:
            if self._ready is not None:
                self._ready.communicate()
                self._ready = None

    def forget(self) -> None:
        """A forked child leaves its parent's alone, and does not keep it waiting when the parent has gone."""
        self._lock = Lock()
        if self._ready is not None:
            assert self._ready.stdin
            self._ready.stdin.close()
            self._ready.returncode = 0
            self._ready = None


def _begin(*when: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", START, ABOVE, *when],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )


WARDENS = Wardens()
atexit.register(WARDENS.dismiss)
os.register_at_fork(after_in_child=WARDENS.forget)
