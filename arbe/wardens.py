"""Commands outlive the worker that started them, but not arbe itself: at the very end they are stopped."""

import signal
import time
from collections.abc import Iterable
from pathlib import Path

from sandboxes import lifetimes


def end_all(sandboxes: Path, patience: float) -> int:
    """Ask every warden to end its command, wait, kill what is left; returns how many were running."""
    running = [folder for folder in sandboxes.glob("*/processes/*") if _is_alive(folder / "warden.pid")]
    for folder in running:
        (folder / "stop").touch(mode=0o600)  # the command was stopped, not lost, even if its warden has to be killed
        lifetimes.send(_who(folder / "warden.pid"), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(_is_alive(file) for file in _lives(running)):
        time.sleep(0.02)
    for file in _lives(running):
        lifetimes.send(_who(file), signal.SIGKILL)
    return len(running)


def _lives(folders: Iterable[Path]) -> list[Path]:
    return [folder / name for folder in folders for name in ("warden.pid", "inside.pid")]


def _is_alive(file: Path) -> bool:
    return lifetimes.is_alive(_who(file))


def _who(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
