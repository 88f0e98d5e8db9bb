"""Keeps processes running, passes on what they say, and ends them when a signal asks for it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from arbe import children
from arbe.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK = 0.25  # seconds between two looks at who still lives
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0  # seconds before it is started again: longer while it keeps dying
STEADY = 20.0  # seconds after which a process counts as having run well


class Ending(Exception):
    """A signal asked for the end."""


class Failed(RuntimeError):
    """A step that has to go well did not."""


class Kept:
    """One process of `up`: its name in the log, how it is started and how it is asked to end."""

    def __init__(
        self, name: str, start: Callable[[], subprocess.Popen[bytes]], ends_by: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self.ends_by = ends_by
        self.process: subprocess.Popen[bytes] | None = None
        self._start = start
        self._started_at = 0.0
        self._due = 0.0
        self._pause = FIRST_PAUSE / 2

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_due(self) -> bool:
        return self.process is None and time.monotonic() >= self._due

    def start(self) -> subprocess.Popen[bytes]:
        self._started_at = time.monotonic()
        self.process = self._start()
        return self.process

    def obituary(self) -> str | None:
        """How it died, if it did since the last look."""
        if self.process is None or self.is_running:
            return None
        return f"ended ({manner(self.process.returncode)})"

    def postpone(self) -> float:
        """It is not running: how many seconds until it is started again."""
        ran, self.process = time.monotonic() - self._started_at, None
        self._pause = FIRST_PAUSE if ran > STEADY else min(self._pause * 2, LONGEST_PAUSE)
        self._due = time.monotonic() + self._pause
        return self._pause


class Supervisor:
    """Everything runs in its one thread, because the kernel ends children with the thread that started them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.kept: list[Kept] = []
        self.changed: Callable[[list[int]], None] = lambda pids: None
        self._asked_to_end = False

    def hear_signals(self) -> None:
        """From now on a signal ends the next `tick` with `Ending`, and a child's death cuts it short."""
        heard, ring = os.pipe()
        for end in (heard, ring):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        self.console.wake_on(heard)
        for number in SIGNALS:
            signal.signal(number, self._ask_to_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def keep(self, kept: Kept) -> None:
        """Start it now, and again whenever it dies."""
        self._start(kept)
        self.kept.append(kept)
        self._tell_who_runs()

    def tick(self) -> None:
        """Pass on what is said, start again who died; raises `Ending` when a signal has asked for it."""
        self.console.pump(LOOK)
        if self._asked_to_end:
            raise Ending
        for kept in self.kept:
            if (obituary := kept.obituary()) is not None:
                self.console.pump(0)  # its last words first
                self.console.say(kept.name, f"{obituary}; starting it again in {kept.postpone():g} s")
            if kept.is_due:
                self._start_again(kept)

    def run_once(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Run a program to its end, everything else going on meanwhile; raises `Failed` if it does not go well."""
        step = Kept(name, lambda: children.spawn(argv, env=env, output=subprocess.PIPE))
        self._start(step)
        try:
            while step.is_running:
                self.tick()
        finally:
            self.end([step], 2)
        assert step.process is not None
        if step.process.returncode:
            raise Failed(f"`{name}` did not go well ({manner(step.process.returncode)}); the lines above say why.")

    def end(self, group: Iterable[Kept], patience: float) -> None:
        """Ask them all, pass on their last words, kill who is still there when patience ends."""
        running = [kept for kept in group if kept.process is not None]
        for kept in running:
            assert kept.process is not None
            if kept.is_running:
                kept.process.send_signal(kept.ends_by)
        deadline = time.monotonic() + patience
        while any(kept.is_running for kept in running) and time.monotonic() < deadline:
            self.console.pump(0.05)
        for kept in running:
            assert kept.process is not None
            if kept.is_running:
                self.console.say(kept.name, f"did not end within {patience:g} s and is killed")
            children.kill_group(kept.process.pid)
            kept.process.wait()
        self.console.pump(0)
        self.kept = [kept for kept in self.kept if kept not in running]

    def _start(self, kept: Kept) -> None:
        process = kept.start()
        assert process.stdout is not None
        self.console.listen(kept.name, process.stdout)

    def _start_again(self, kept: Kept) -> None:
        try:
            self._start(kept)
        except (OSError, RuntimeError) as refusal:
            self.console.say(kept.name, f"{refusal} Trying again in {kept.postpone():g} s.")
        self._tell_who_runs()

    def _tell_who_runs(self) -> None:
        self.changed([kept.process.pid for kept in self.kept if kept.process is not None])

    def _ask_to_end(self, number: int, frame: object) -> None:
        self._asked_to_end = True


def manner(code: int) -> str:
    """How a process ended, from its return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
