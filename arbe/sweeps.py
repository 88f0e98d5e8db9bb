"""What the scheduler does all day: it calls every sweep when it is due, in one process of all machines."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.db import close_old_connections, connections
from django.utils.module_loading import import_string

from houses.measures import SWEEP_FAILURES

logger = logging.getLogger(__name__)

LOCK = 0x617262  # "arb": the advisory lock of whoever is the scheduler
LOOK, STANDBY, LONGEST_PAUSE = 1.0, 2.0, 60.0  # seconds


class Sweep:
    """One function of `ARBE_SWEEPS`; while it fails it is called less often, so that the log stays readable."""

    def __init__(self, path: str, every: float) -> None:
        self.path, self.every = path, every
        self._function: Callable[[], object] = import_string(path)
        self._pause = every
        self._due = 0.0

    def call_if_due(self) -> None:
        if time.monotonic() < self._due:
            return
        try:
            self._function()
        except Exception:  # an edge: one sweep that fails must not keep the others from running
            self._pause = max(self.every, min(self._pause * 2, LONGEST_PAUSE))
            SWEEP_FAILURES.labels(self.path).inc()
            logger.exception("%s failed; trying again in %g s", self.path, self._pause)
        else:
            self._pause = self.every
        self._due = time.monotonic() + self._pause - LOOK / 2


def run_for_ever(paths: Mapping[str, float]) -> None:
    """Ends by a signal, or with `psycopg.OperationalError` when the connection is lost that makes this the only one."""
    sweeps = [Sweep(path, every) for path, every in paths.items()]
    lock = _become_the_only_one()
    while True:
        began = time.monotonic()
        lock.execute("SELECT 1")
        for sweep in sweeps:
            close_old_connections()
            sweep.call_if_due()
        close_old_connections()
        time.sleep(max(0.0, LOOK - (time.monotonic() - began)))


def _become_the_only_one() -> Any:
    """A connection of its own that holds the lock as long as it lives."""
    default = connections["default"]
    held = default.get_new_connection(default.get_connection_params())
    held.autocommit = True
    waiting = False
    while True:
        cursor = held.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if cursor.fetchone()[0]:
            return held
        if not waiting:
            logger.info("Another scheduler is at work; standing by.")
            waiting = True
        time.sleep(STANDBY)
