"""Processes of an `up` that was killed before it could end them."""

import signal
import time
from collections.abc import Iterable
from pathlib import Path

from sandboxes import lifetimes


def record(file: Path, pids: Iterable[int]) -> None:
    """Write down which processes are ours now, so that numbers given to others later are not mistaken for them."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text("".join(f"{lifetimes.name(pid)}\n" for pid in pids))
    partial.replace(file)


def end(file: Path, patience: float = 5) -> int:
    """End those of the last record that still run; returns how many there were."""
    if not file.exists():
        return 0
    left = [who for who in file.read_text().splitlines() if lifetimes.is_alive(who)]
    for who in left:
        lifetimes.send(who, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(map(lifetimes.is_alive, left)):
        time.sleep(0.02)
    for who in left:
        lifetimes.send(who, signal.SIGKILL)
    file.unlink()
    return len(left)
