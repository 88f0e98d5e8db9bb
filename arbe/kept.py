"""A process that is started again when it dies, after a pause that grows while it keeps dying."""

import signal
import subprocess
import time
from collections.abc import Callable

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0  # seconds
STEADY = 20.0  # seconds after which a process counts as having run well


class Kept:
    """One process of `up`: its name in the log, how it is started and how it is asked to end."""

    def __init__(
        self, name: str, start: Callable[[], subprocess.Popen[bytes]], ends_by: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self.ends_by = ends_by
        self.process: subprocess.Popen[bytes] | None = None
        self._start = start
        self._started_at = 0.0
        self._due = 0.0
        self._pause = FIRST_PAUSE / 2

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_due(self) -> bool:
        return self.process is None and time.monotonic() >= self._due

    def start(self) -> subprocess.Popen[bytes]:
        self._started_at = time.monotonic()
        self.process = self._start()
        return self.process

    def obituary(self) -> str | None:
        """How it died, if it did since the last look."""
        if self.process is None or self.is_running:
            return None
        return f"ended ({manner(self.process.returncode)})"

    def postpone(self) -> float:
        """It is not running: how many seconds until it is started again."""
        ran, self.process = time.monotonic() - self._started_at, None
        self._pause = FIRST_PAUSE if ran > STEADY else min(self._pause * 2, LONGEST_PAUSE)
        self._due = time.monotonic() + self._pause
        return self._pause


def manner(code: int) -> str:
    """How a process ended, from its return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
