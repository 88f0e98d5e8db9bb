"""Starts bubblewrap as the sandbox's own user. Standard library only, because the warden imports it."""

from __future__ import annotations

import os
from ctypes import CDLL, get_errno

from sandboxes import bubble, limits

TYPE_CHECKING = False  # see warden.py
if TYPE_CHECKING:
    from typing import Any

    Order = dict[str, Any]

PIPE, FILE_SIZE = 13, 25  # signals that Python ignores; being ignored is inherited, and `yes | head` would not end
NEW_MOUNTS, PRIVATE, RECURSIVE, BIND, NO_SETUID_NO_DEVICES = 0x20000, 1 << 18, 0x4000, 0x1000, 0x6
DEATH_SIGNAL, KILL, ADOPT = 1, 9, 36
# A command begins when the warden, knowing by what to end it, opens the gate; a warden that died never does.
GATED = ("/bin/sh", "-c", 'read -r _ && exec "$@" < /dev/null', "sh")
HEARING = ("/bin/sh", "-c", 'read -r _ && exec "$@"', "sh")  # what comes after that line is the command's own
SHOWN = "/tmp"  # noqa: S108 - in a mount namespace that is the sandbox's alone
LIBC = CDLL(None, use_errno=True)


def launch(order: Order, gate: int, printing: int, telling: int) -> int:
    """bubblewrap, as the sandbox's own user, with nothing of the warden's but the pipes."""
    LIBC.prctl(ADOPT, 1, 0, 0, 0)  # what bubblewrap leaves is the warden's to bury, or it would count as a process
    warden = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(gate, 0)
        os.dup2(printing, 1)
        os.dup2(printing, 2)
        become_bubblewrap(order, telling, warden)
    except BaseException as error:  # noqa: BLE001 - a copy of the warden must not live on
        os.write(2, f"arbe could not set up the sandbox: {error}\n".encode())
    os._exit(70)


def become_bubblewrap(order: Order, telling: int, warden: int) -> None:
    folders = {name: order[name] for name in ("home", "tree", "objects", "programs") if order[name]}
    shown = reachable(folders, order["owner"])
    files = bubble.files(order["network"], order["arbe"])
    words = bubble.arguments(
        home=shown["home"],
        tree=shown["tree"],
        objects=shown.get("objects"),
        programs=shown.get("programs"),
        data={path: memory(text.encode()) for path, text in files.items()},
        env=order["env"],
        cwd=order["cwd"],
        network=order["network"],
        tmp_mb=int(order["limits"]["file_mb"]),
    )
    said = memory(b"".join(os.fsencode(word) + b"\0" for word in words))
    step_down(order, warden)
    os.set_inheritable(telling, True)
    gate = HEARING if order["takes_input"] else GATED
    start = ["bwrap", "--args", str(said), "--json-status-fd", str(telling), "--", *gate, *order["argv"]]
    os.execve(order["bwrap"], start, {})  # noqa: S606 - no shell, on purpose


def step_down(order: Order, warden: int) -> None:
    for number in (PIPE, FILE_SIZE):
        LIBC.signal(number, None)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")  # when the machine runs short, a command goes before arbe does
    os.umask(0o022)
    limits.apply(order["limits"], order["owner"])
    if (owner := order["owner"]) is not None:
        os.setgroups([])
        os.setgid(owner)
        os.setuid(owner)
    # bubblewrap asks for this too, but the warden may be gone before it does.
    LIBC.prctl(DEATH_SIGNAL, KILL, 0, 0, 0)
    if os.getppid() != warden:
        os._exit(70)


def memory(data: bytes) -> int:
    """A descriptor that gives these bytes and is on no disk."""
    fd = os.memfd_create("arbe", 0)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def reachable(folders: dict[str, str], owner: int | None) -> dict[str, str]:
    """Where the sandbox's user can name its folders: their parents may be closed to it, so they are shown elsewhere."""
    if owner is None:
        return folders
    if LIBC.unshare(NEW_MOUNTS):
        raise OSError(get_errno(), "arbe may not make a mount namespace")
    mount(b"none", b"/", None, RECURSIVE | PRIVATE)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    sources = {name: os.open(path, flags) for name, path in folders.items()}
    mount(b"tmpfs", b"/tmp", b"tmpfs", NO_SETUID_NO_DEVICES, b"size=64k,mode=755")
    places = {name: f"{SHOWN}/{name}" for name in sources}
    for name, source in sources.items():
        os.mkdir(places[name])
        mount(b"/proc/self/fd/%d" % source, os.fsencode(places[name]), None, BIND)
        os.close(source)
    return places


def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    if LIBC.mount(source, target, kind, flags, data):
        raise OSError(get_errno(), f"mount {os.fsdecode(target)}: {os.strerror(get_errno())}")
