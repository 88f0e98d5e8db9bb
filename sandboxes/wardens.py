"""Starts wardens, and keeps one started ahead: an interpreter takes longer to begin than a command."""

from __future__ import annotations

import atexit
import marshal
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any

START = "import sys; sys.path.append(sys.argv[1]); from sandboxes.warden import main; main()"
ABOVE = str(Path(__file__).resolve().parent.parent)

_lock = Lock()
_spare: subprocess.Popen[bytes] | None = None


def send(order: dict[str, Any]) -> None:
    """Gives the order to a warden; on return it has claimed its folder, or found it claimed."""
    global _spare
    with _lock:
        warden, _spare = _spare, None
    if warden is None or warden.poll() is not None:
        warden = _begin()
    try:
        warden.communicate(marshal.dumps(order), timeout=30)
    except subprocess.TimeoutExpired:
        warden.kill()
        warden.communicate()
    keep_one_ready()


def keep_one_ready() -> None:
    """It waits for its order and ends with this process."""
    global _spare
    with _lock:
        if _spare is None:
            _spare = _begin("ahead")


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


@atexit.register
def _dismiss() -> None:
    if _spare is not None:
        _spare.communicate()


def _forget() -> None:
    """A forked child leaves its parent's spare alone, and does not keep it waiting after its parent."""
    global _spare, _lock
    _lock = Lock()
    if _spare is not None:
        assert _spare.stdin
        _spare.stdin.close()
        _spare.returncode = 0
        _spare = None


os.register_at_fork(after_in_child=_forget)
