"""Processes named so that a reused number is never mistaken for them. Standard library only: the warden imports it."""

from __future__ import annotations

import os
import select


def born(pid: int) -> str:
    """When it started, in ticks since boot, with the boot's name; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def name(pid: int) -> str:
    return f"{pid} {born(pid)}"


def is_alive(who: str) -> bool:
    pid, _, birth = who.strip().partition(" ")
    return bool(birth) and born(int(pid)) == birth


def send(who: str, number: int) -> bool:
    """Signals exactly that process; False when it is gone."""
    import signal  # it takes longer to import than a command's launch can spare

    pid, _, birth = who.strip().partition(" ")
    if not birth:
        return False
    try:
        held = os.pidfd_open(int(pid))
    except OSError:
        return False
    try:
        # From here the number cannot be given to another, so what is compared is what is signalled.
        if born(int(pid)) != birth:
            return False
        signal.pidfd_send_signal(held, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(held)


def ended(held: int, seconds: float) -> bool:
    """Whether the process behind a pidfd is gone within that time."""
    poll = select.poll()
    poll.register(held, select.POLLIN)
    return bool(poll.poll(int(seconds * 1000)))


def descendants(pid: int) -> list[int]:
    """Everything below a process, as far as it can be seen at one moment."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as file:
                    found += map(int, file.read().split())
        except OSError:
            continue
    return found[1:]
