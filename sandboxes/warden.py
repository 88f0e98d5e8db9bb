"""The warden looks after one command when whoever asked for it has gone. Standard library only, and little of it: what
is imported before the command is launched is time that somebody waits.

The order comes on standard input, so that no secret is in a file or on a command line.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from sandboxes import lifetimes
from sandboxes.launch import launch

TYPE_CHECKING = False  # importing typing takes longer than the rest of this file
if TYPE_CHECKING:
    from sandboxes.doors import Doors
    from sandboxes.launch import Order


def main() -> None:
    """Claims the process folder, then goes its own way; the caller comes back when the claim is made."""
    if sys.argv[2:] == ["ahead"]:
        import sandboxes.watch  # noqa: F401 - nobody waits yet
    if not (said := sys.stdin.buffer.read()):
        return
    order = marshal.loads(said)  # noqa: S302 - from our own parent, and json takes longer to import
    os.chdir(order["folder"])
    os.dup2(os.open("warden.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    heard, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os.read(heard, 1)
        os._exit(0)
    os.close(heard)
    os.setsid()
    if claim():
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.close(tell)
        follow(order)


def claim() -> bool:
    """Only one warden ever has this folder: a link is made or it is not."""
    mine = f"warden.{os.getpid()}"
    with open(mine, "w") as file:
        file.write(lifetimes.name(os.getpid()))
    try:
        os.link(mine, "warden.pid")
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(mine)


def follow(order: Order) -> None:
    waiting, gate = os.pipe()
    printed, printing = os.pipe()
    told, telling = os.pipe()
    started = time.time()
    doors = open_doors(order)
    pid = launch(order, waiting, printing, telling)
    for theirs in (waiting, printing, telling):
        os.close(theirs)
    from sandboxes.watch import Pipes, Watch  # while bubblewrap is setting up

    Watch(order, started, pid, Pipes(gate, printed, told), doors).run()


def open_doors(order: Order) -> Doors | None:
    """The command is told where they are; nobody else is."""
    if not order["doors"]:
        return None
    from sandboxes.doors import Doors

    doors = Doors(order["doors"], order["network"])
    order["env"] = {**order["env"], "ARBE_DOOR": doors.address}
    return doors
