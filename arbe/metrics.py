"""Metrics for operators, on an address of their own: `ARBE_METRICS`. Nothing else is there, and they are nowhere else.

Every process counts into a folder; one process, which `up` keeps, reads all of it and answers. What is waiting it asks
the database, as the operator role, at the moment somebody looks.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connections
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from houses.operators import OPERATOR

WAITING = """
SELECT 'outbox', count(*), COALESCE(EXTRACT(epoch FROM now() - min(announced_at)), 0) FROM outbox
UNION ALL SELECT 'queued', count(*), COALESCE(EXTRACT(epoch FROM now() - min(created_at)), 0)
FROM commands WHERE status = 'queued'
UNION ALL SELECT 'running', count(*), 0 FROM commands WHERE status = 'running'
"""


def address(text: str) -> tuple[str, int]:
    """Host and port of `ARBE_METRICS`; a port alone is on this machine. Raises `ValueError`."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"ARBE_METRICS is host:port, such as 127.0.0.1:9464, not {text!r}.")
    return host.strip("[]") or "127.0.0.1", int(port)


def serve(where: str, folder: Path) -> tuple[Any, threading.Thread]:
    """Answer there from now on, in threads; returns the server."""
    host, port = address(where)
    registry = CollectorRegistry()
    registry.register(Counted(folder))
    registry.register(Waiting())
    return start_http_server(port, host, registry)


class Counted(Collector):
    """What all processes counted, those that ended too; of what is so right now, only those that live."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all = MultiProcessCollector(CollectorRegistry(), str(folder))  # type: ignore[no-untyped-call]  # prometheus_client leaves it out

    def collect(self) -> Iterator[Any]:
        for file in self.folder.glob("gauge_live*_*.db"):
            pid = file.stem.rpartition("_")[2]
            if not Path(f"/proc/{pid}").exists():
                file.unlink(missing_ok=True)
        yield from self._all.collect()  # type: ignore[no-untyped-call]  # prometheus_client leaves it out


class Waiting(Collector):
    """How much waits, and for how long the oldest of it has."""

    def describe(self) -> list[Any]:
        return []  # else it would be asked for at the registration

    def collect(self) -> Iterator[Any]:
        answers = GaugeMetricFamily("arbe_database_answers", "Whether the database answers.")
        try:
            with connections[OPERATOR].cursor() as cursor:
                cursor.execute(WAITING)
                found = {name: (count, float(age)) for name, count, age in cursor.fetchall()}
        except DatabaseError:
            answers.add_metric([], 0)
            yield answers
            return
        finally:
            connections[OPERATOR].close()
        answers.add_metric([], 1)
        yield answers
        for name, words in (("outbox", "Events on their way to their streams"), ("queued", "Commands that wait")):
            count, age = found[name]
            yield GaugeMetricFamily(f"arbe_{name}", f"{words}.", value=count)
            yield GaugeMetricFamily(f"arbe_{name}_oldest_seconds", f"{words}: how old the oldest is.", value=age)
        yield GaugeMetricFamily("arbe_running", "Commands that run.", value=found["running"][0])
