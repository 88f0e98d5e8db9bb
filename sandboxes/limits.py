"""What a command may use: set on each of its processes, and watched over all of them. Standard library only."""

from __future__ import annotations

import os
import resource

from sandboxes import lifetimes

TYPE_CHECKING = False  # see warden.py
if TYPE_CHECKING:
    from typing import Any

MB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
OPEN_FILES = 4096


def apply(limits: dict[str, Any], owner: int | None) -> None:
    """Before the user changes. RLIMIT_DATA, not RLIMIT_AS: some runtimes reserve far more addresses than they use."""
    # A little above the watched limit, so that the watch, which can say why, usually comes first.
    _lower(resource.RLIMIT_DATA, int(limits["memory_mb"] * MB * 1.25))
    _lower(resource.RLIMIT_CPU, int(limits["cpu_seconds"]) + 1)
    _lower(resource.RLIMIT_FSIZE, int(limits["file_mb"] * MB))
    _lower(resource.RLIMIT_NPROC, int(limits["processes"]) + _already(owner))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)


def exceeded(init: int, limits: dict[str, Any]) -> str | None:
    """`memory` or `cpu_time` when all processes under `init`, together, are over."""
    pids = [init, *lifetimes.descendants(init)]
    seconds, resident = 0.0, _in_memory_files(init)
    for pid in pids:
        cpu, pages = _used(pid)
        seconds += cpu
        resident += pages * PAGE
    if seconds > limits["cpu_seconds"]:
        return "cpu_time"
    most = limits["memory_mb"] * MB
    # Resident pages count what processes share once for each; only when that is too much is the exact sum worth it.
    if resident > most and _in_memory_files(init) + sum(map(_share, pids)) > most:
        return "memory"
    return None


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _already(owner: int | None) -> int:
    """Three for bubblewrap; and where arbe is not root, what its own user runs counts too."""
    if owner is not None:
        return 3
    me = os.getuid()
    running = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == me:
                running += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return running + 3


def _used(pid: int) -> tuple[float, int]:
    """Processor seconds of it and of the children it has buried, and its resident pages."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return sum(map(int, fields[11:15])) / TICKS, int(fields[21])


def _share(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _used(pid)[1] * PAGE


def _in_memory_files(init: int) -> int:
    total = 0
    for path in ("tmp", "dev/shm"):
        try:
            found = os.statvfs(f"/proc/{init}/root/{path}")
        except OSError:
            continue
        total += (found.f_blocks - found.f_bfree) * found.f_frsize
    return total
