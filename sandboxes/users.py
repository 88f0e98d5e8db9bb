"""An unprivileged user for each sandbox, so that its processes are counted apart and its files are nobody else's."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

FIRST, SPAN = 200_000, 1_000_000


def take(root: Path, sandbox_id: str) -> int | None:
    """A user id that no other sandbox under `root` has; None when arbe is not root and can only be itself."""
    if os.geteuid() != 0:
        return None
    folder = root / ".users"
    folder.mkdir(mode=0o700, exist_ok=True)
    first, span = _mapped()
    start = zlib.crc32(os.fsencode(root.resolve() / sandbox_id))
    for step in range(span):
        user = first + (start + step) % span
        try:
            with open(folder / str(user), "x") as file:
                file.write(sandbox_id)
            return user
        except FileExistsError:
            continue
    raise OSError("Every user id for sandboxes is taken.")


def give_back(root: Path, user: int) -> None:
    (root / ".users" / str(user)).unlink(missing_ok=True)


def processes(user: int) -> list[int]:
    """Every process of that user on this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _runs_as(int(name), user)]


def _runs_as(pid: int, user: int) -> bool:
    try:
        with open(f"/proc/{pid}/status") as file:
            facts = dict(line.split(":", 1) for line in file)
    except OSError:
        return False
    return int(facts["Uid"].split()[0]) == user and not facts["State"].strip().startswith(("Z", "X"))


def _mapped() -> tuple[int, int]:
    """In a container with few user ids, the upper half of those it has."""
    highest = 0
    with open("/proc/self/uid_map") as file:
        for line in file:
            inside, _, count = map(int, line.split())
            highest = max(highest, inside + count)
    if highest >= FIRST + SPAN:
        return FIRST, SPAN
    return highest // 2, max(1, highest // 2 - 1000)
