"""Watches over one running command. Standard library only, because the warden imports it."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sandboxes import lifetimes, limits
from sandboxes.inputs import Feed

if TYPE_CHECKING:
    from sandboxes.doors import Doors

GRACE = 0.7  # between asking and ending
WATCH = 0.1  # between two looks at memory and processor time
BLOCK = 1 << 16
BY_SIGNAL: dict[int, str] = {signal.SIGXCPU: "cpu_time", signal.SIGXFSZ: "file_size"}


class Pipes(NamedTuple):
    """To the command, and from it."""

    gate: int
    printed: int
    told: int


class Watch:
    """Copies what the command prints to a file, holds it to its limits, and writes down how it ended."""

    def __init__(self, order: dict[str, Any], started: float, pid: int, pipes: Pipes, doors: Doors | None) -> None:
        self.limits = order["limits"]
        self.pid, self.printed, self.told, self.doors = pid, pipes.printed, pipes.told, doors
        self.feed = Feed("input" if order["takes_input"] else None, pipes.gate)
        self.held = os.pidfd_open(pid)
        self.started, self.wall_end = started, time.monotonic() + self.limits["wall_seconds"]
        self.room, self.written = int(self.limits["output_mb"] * limits.MB), 0
        self.output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.reason: str | None = None
        self.kill_at: float | None = None
        self.status = b""
        self.init: int | None = None  # the first process inside; when it ends, the kernel ends all the others
        self.init_fd: int | None = None
        self.bell = hear_signals()

    def run(self) -> None:
        if os.path.exists("stop"):  # asked before the signal could be heard
            self.end("stopped", GRACE)
        self.follow()
        _, status = os.waitpid(self.pid, 0)
        self.settle()
        bury()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # before the relay counts
        if self.doors:
            self.doors.close()
        self.record(os.waitstatus_to_exitcode(status), used)

    def follow(self) -> None:
        """Until bubblewrap has ended."""
        poll = select.poll()
        for fd in (self.printed, self.told, self.bell, self.held):
            poll.register(fd, select.POLLIN)
        look = time.monotonic() + WATCH
        while True:
            ready = self.wait(poll, look)
            if self.bell in ready:
                self.answer_bell()
            if self.told in ready and not self.hear():
                poll.unregister(self.told)
            if self.printed in ready and not self.copy():
                poll.unregister(self.printed)
            if self.held in ready:
                return
            if time.monotonic() >= look:
                self.look()
                look = time.monotonic() + WATCH

    def wait(self, poll: select.poll, until: float) -> set[int]:
        """Which descriptors have something; what is there for the command is passed on as it takes it."""
        feeding = self.feed.fd if self.feed.is_full else None
        if feeding is not None:
            poll.register(feeding, select.POLLOUT)
        ready = {fd for fd, _ in poll.poll(max(0, int(1000 * (until - time.monotonic())) + 1))}
        if feeding is not None:
            poll.unregister(feeding)
            if feeding in ready:
                self.feed.go_on()
        return ready - {feeding}

    def answer_bell(self) -> None:
        if set(os.read(self.bell, 64)) - {signal.SIGURG}:
            self.end("stopped", GRACE)
        elif self.feed.begun:
            self.feed.go_on()

    def hear(self) -> bool:
        """bubblewrap says which process is the first inside, and at the end its exit code."""
        block = os.read(self.told, BLOCK)
        self.status += block
        if self.init is None and b"\n" in self.status:
            self.init = int(json.loads(self.status.split(b"\n")[0])["child-pid"])
            try:
                self.init_fd = os.pidfd_open(self.init)
            except ProcessLookupError:
                return bool(block)
            with open("inside.pid", "w") as file:
                file.write(lifetimes.name(self.init))
            self.open_gate(self.init)
        return bool(block)

    def open_gate(self, init: int) -> None:
        """A command begins when its doors are open: nothing it calls is refused for being early."""
        try:
            if self.doors:
                self.doors.open(init)
        except OSError as error:
            os.write(self.output, f"arbe could not open a door into the sandbox: {error}\n".encode())
            return self.end("not_started", 0)
        self.feed.go_on()
        if self.doors:
            self.doors.keep()
        return None

    def copy(self) -> bool:
        block = os.read(self.printed, BLOCK)
        kept = block[: self.room - self.written]
        fits = len(kept) == len(block)
        while kept:
            done = os.write(self.output, kept)
            self.written += done
            kept = kept[done:]
        if not fits:
            self.end("output_limit", 0)
        return bool(block)

    def look(self) -> None:
        now = time.monotonic()
        if self.feed.begun:
            self.feed.go_on()
        if self.doors:
            self.doors.tend()
        if self.kill_at is not None and now >= self.kill_at:
            self.kill()
        elif now >= self.wall_end:
            self.end("wall_time", GRACE)
        elif self.init is not None and (over := limits.exceeded(self.init, self.limits)):
            self.end(over, 0)

    def end(self, reason: str, grace: float) -> None:
        """The first reason is the one that is told. With grace, everything inside is asked before it is ended."""
        self.reason = self.reason or reason
        if not grace or self.init is None:
            self.kill()
        elif self.kill_at is None:
            self.kill_at = time.monotonic() + grace
            for pid in lifetimes.descendants(self.init):
                self._send(pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.init is None:  # too early to know which is the first inside
            for pid in lifetimes.descendants(self.pid):
                self._send(pid, signal.SIGKILL)
        for held in (self.init_fd, self.held):
            if held is not None:
                try:
                    signal.pidfd_send_signal(held, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def settle(self) -> None:
        """Whoever the command left behind ends with it; what they had printed is kept."""
        while readable(self.told, 0) and self.hear():
            pass
        if self.init_fd is not None and not lifetimes.ended(self.init_fd, 0):
            self.kill()
            lifetimes.ended(self.init_fd, 5)
        while readable(self.told, 1) and self.hear():
            pass
        while readable(self.printed, 1) and self.copy():
            pass

    def record(self, code: int, used: resource.struct_rusage) -> None:
        told = b'"exit-code"' in self.status
        reason = self.reason or ("exited" if told else "not_started")
        number = code - 128 if 128 < code <= 192 else None
        if reason == "exited" and number is not None:
            reason = BY_SIGNAL.get(number, reason)
        facts = {
            "reason": reason,
            "code": code if told else None,
            "signal": number if told else None,
            "started_at": self.started,
            "finished_at": time.time(),
            "output_bytes": self.written,
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
            "memory_bytes": used.ru_maxrss * 1024,
        }
        with open("exit.new", "w") as file:
            json.dump(facts, file)
        os.rename("exit.new", "exit.json")

    @staticmethod
    def _send(pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(int(seconds * 1000)))


def bury() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def hear_signals() -> int:
    """A descriptor that can be read once somebody asks this process to stop."""
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGURG):
        signal.signal(number, lambda *_: None)
    return bell
