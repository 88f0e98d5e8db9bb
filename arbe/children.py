"""Processes that `up` starts: each leads its own session, and none outlives its parent by accident."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from arbe.accounts import Account

PR_SET_PDEATHSIG = 1
# Loaded here and not in the child: between fork and exec nothing may be imported or allocated that could be locked.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    argv: Sequence[str],
    *,
    dies_by: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    output: int | Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program; when this process dies, even by kill -9, the child is sent `dies_by`.

    It prints where this process does, or to a pipe (`subprocess.PIPE`), or to a file of this start alone.
    """
    with _opened(output) as out:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=out,
            stderr=subprocess.STDOUT if out is not None else None,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,  # a Ctrl-C in the terminal reaches `up` alone, which ends the others in order
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_follow_parent(dies_by),  # noqa: PLW1509  # it makes two system calls and takes no lock
        )


@contextmanager
def _opened(output: int | Path | None) -> Iterator[int | IO[bytes] | None]:
    if isinstance(output, Path):
        with open(output, "wb") as file:
            yield file
    else:
        yield output


def last_words(process: subprocess.Popen[bytes], log: Path) -> str:
    """What a process that ended too early had printed, to its pipe or else to this file."""
    said = process.stdout.read() if process.stdout is not None else log.read_bytes()
    return said.decode(errors="replace").strip()[-2000:]


def _follow_parent(dies_by: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def ask_kernel() -> None:
        # After setuid, which would clear it. The parent may have died before the question was asked.
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(dies_by), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def ended(process: subprocess.Popen[bytes], within: float) -> bool:
    """Whether the process ended (and was reaped) within so many seconds."""
    try:
        process.wait(max(within, 0))
    except subprocess.TimeoutExpired:
        return False
    return True


def end(processes: Sequence[subprocess.Popen[bytes]], *, by: signal.Signals = signal.SIGTERM, patience: float) -> None:
    """Ask all of them together, wait together, then kill what is left with everything in its process group."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(by)
    deadline = time.monotonic() + patience
    for process in processes:
        if not ended(process, deadline - time.monotonic()):
            kill_group(process.pid)
            process.wait()
    for process in processes:
        kill_group(process.pid)


def kill_group(pid: int) -> None:
    """Kill what is left of the session that `spawn` made."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
