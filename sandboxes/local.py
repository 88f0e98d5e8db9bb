"""Sandboxes on this machine: a folder each, and bubblewrap around every command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxes import tracking, users
from sandboxes.processes import Process
from sandboxes.provider import DEFAULT_LIMITS, Exec, Exit, Limits, ProviderError
from sandboxes.wardens import WARDENS

if TYPE_CHECKING:
    from artifacts.tree import Snapshot

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
NOBODY = 65534
INSIDE = Path(__file__).parent / "inside" / "arbe"
ENDING = 2.0
ABANDONED = 600.0


class Local:
    """`root/<sandbox>/{home,tree,processes,farm,cache,tracked}`; only arbe may look in."""

    def __init__(self, root: Path, programs: Path | None = None) -> None:
        self.root, self.programs = root.resolve(), programs
        self._fine = False

    def check(self) -> str | None:
        if self._fine:
            return None
        if (bwrap := shutil.which("bwrap")) is None:
            return (
                "Commands only run apart from this machine; bubblewrap, which does that, is not installed. Install it."
            )
        user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        trial = [bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "--proc", "/proc"]
        tried = subprocess.run(
            [*trial, "true"], check=False, capture_output=True, text=True, timeout=10, env={}, **user
        )
        self._fine = tried.returncode == 0
        return (
            None
            if self._fine
            else (
                "Commands only run apart from this machine, and it refuses unprivileged users the namespaces for that"
                f" (kernel.unprivileged_userns_clone, user.max_user_namespaces, AppArmor): {tried.stderr.strip()}"
            )
        )

    # Sandboxes

    def create(self, sandbox_id: str, limits: Limits = DEFAULT_LIMITS) -> str:
        folder = self._folder(sandbox_id)
        self._refuse_if_unsafe()
        if self.alive(sandbox_id):
            return sandbox_id
        WARDENS.keep_one_ready()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clear_abandoned()
        owner = users.take(self.root, sandbox_id)
        being_made = self.root / f".new-{sandbox_id}-{os.getpid()}-{time.monotonic_ns()}"
        self._lay_out(being_made, owner, limits)
        try:
            being_made.rename(folder)
        except OSError:  # another worker was first
            self._forget(being_made, owner)
        return sandbox_id

    def alive(self, ref: str) -> bool:
        return (self._folder(ref) / "sandbox.json").exists()

    def list(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(name for name in os.listdir(self.root) if NAME.fullmatch(name) and self.alive(name))

    def destroy(self, ref: str) -> None:
        gone = self.root / f".gone-{_named(ref)}-{os.getpid()}-{time.monotonic_ns()}"
        try:
            self._folder(ref).rename(gone)  # from now on nobody finds it to start something in
        except FileNotFoundError:
            return
        self._clear(gone)

    # Commands

    def exec(self, ref: str, what: Exec) -> None:
        self._refuse_if_unsafe()
        folder = self._living(ref)
        shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
        order = {
            "bwrap": shutil.which("bwrap"),
            "owner": _facts(folder)["owner"],
            "home": str(folder / "home"),
            "tree": str(folder / "tree"),
            "objects": tracking.objects(folder),
            "programs": self._programs() if what.programs else None,
            "arbe": INSIDE.read_text() if what.programs else None,
            "argv": [shell, "-c", what.command] if isinstance(what.command, str) else list(what.command),
            "env": dict(what.env),
            "cwd": what.cwd,
            "network": what.network,
            "doors": [door.order() for door in what.doors],
            "takes_input": what.takes_input,
            "limits": asdict(what.limits),
        }
        try:
            self._process(ref, what.process_id).start(order)
        except FileNotFoundError as gone:
            raise ProviderError(f"There is no sandbox {ref}.", permanent=True) from gone

    def read(self, ref: str, process_id: str, offset: int = 0, limit: int = 65536) -> bytes:
        return self._process(ref, process_id).read(offset, limit)

    def wait(self, ref: str, process_id: str, offset: int, timeout: float) -> bool:
        return self._process(ref, process_id).wait(offset, timeout)

    def poll(self, ref: str, process_id: str) -> Exit | None:
        return self._process(ref, process_id).poll()

    def send(self, ref: str, process_id: str, key: str, data: bytes) -> None:
        self._process(ref, process_id).send(key, data)

    def close_input(self, ref: str, process_id: str) -> None:
        self._process(ref, process_id).close_input()

    def stop(self, ref: str, process_id: str) -> None:
        self._process(ref, process_id).stop()

    def end_all(self, patience: float) -> int:
        """Commands outlive the worker that started them, but not arbe itself; returns how many were running."""
        running = [one for one in map(Process, self.root.glob("*/processes/*")) if one.is_alive()]
        for process in running:
            process.ask_to_end()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(process.is_alive() for process in running):
            time.sleep(0.02)
        for process in running:
            process.kill()
        return len(running)

    # Files

    def snapshot(self, ref: str, bare: Path) -> Snapshot:
        from artifacts.bare import Bare
        from artifacts.tree import snapshot

        folder = self._living(ref)
        return snapshot(folder / "tree", Bare(bare), _cache(folder, bare))

    def restore(self, ref: str, bare: Path, tree: str) -> None:
        from artifacts.bare import Bare
        from artifacts.restore import restore

        folder = self._living(ref)
        owner = _facts(folder)["owner"]
        restore(folder / "tree", Bare(bare), tree, None if owner is None else (owner, owner), _cache(folder, bare))

    def pack(self, ref: str, bare: Path, folder: str, hide: Callable[[bytes], bytes] | None = None) -> str:
        from sandboxes import packing

        return packing.pack(self._living(ref), bare, folder, hide)

    def unpack(self, ref: str, bare: Path, folder: str, tree: str) -> None:
        from sandboxes import packing

        sandbox = self._living(ref)
        packing.unpack(sandbox, bare, folder, tree, _facts(sandbox)["owner"])

    def track(self, ref: str, bare: Path, branch: str, commit: str) -> None:
        folder = self._living(ref)
        tracking.track(folder, bare, branch, commit, _facts(folder)["owner"], _cache(folder, bare))

    def arm(self, ref: str) -> None:
        from artifacts import reads

        folder = self._living(ref)
        tells = reads.probe(folder / "farm") and reads.arm(folder / "tree", folder / "farm")
        (folder / "tells").write_text("yes" if tells else "no")

    def reads(self, ref: str) -> set[str] | None:
        from artifacts import reads

        folder = self._living(ref)
        with suppress(FileNotFoundError):
            if (folder / "tells").read_text() == "yes":
                return reads.reads(folder / "tree", folder / "farm")
        return None

    # Inside

    def _folder(self, ref: str) -> Path:
        return self.root / _named(ref)

    def _living(self, ref: str) -> Path:
        if not self.alive(ref):
            raise ProviderError(f"There is no sandbox {ref}.", permanent=True)
        return self._folder(ref)

    def _process(self, ref: str, process_id: str) -> Process:
        return Process(self._folder(ref) / "processes" / _named(process_id))

    def _programs(self) -> str:
        if self.programs is None or not self.programs.is_dir():
            raise ProviderError("No agent's program is installed here: manage.py runtimes install", permanent=True)
        return str(self.programs.resolve())

    def _refuse_if_unsafe(self) -> None:
        if (problem := self.check()) is not None:
            raise ProviderError(problem, permanent=True)

    def _lay_out(self, folder: Path, owner: int | None, limits: Limits) -> None:
        folder.mkdir(mode=0o700)
        facts = {"owner": owner, "limits": asdict(limits), "created_at": datetime.now(UTC).isoformat()}
        (folder / "sandbox.json").write_text(json.dumps(facts))
        for name in ("processes", "home", "tree", "farm", "cache"):
            (folder / name).mkdir(mode=0o700)
        if owner is not None:
            for name in ("home", "tree"):
                os.chown(folder / name, owner, owner)

    def _clear_abandoned(self) -> None:
        """What a worker that was killed had half made or half cleared."""
        for folder in (*self.root.glob(".new-*"), *self.root.glob(".gone-*")):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_ctime > ABANDONED:
                    self._clear(folder)

    def _clear(self, folder: Path) -> None:
        with suppress(FileNotFoundError):  # somebody else clears it
            owner = _facts(folder)["owner"]
            for process in (folder / "processes").iterdir():
                Process(process).kill()
            if owner is not None:
                _end_all(owner)
            self._forget(folder, owner)

    def _forget(self, folder: Path, owner: int | None) -> None:
        try:
            shutil.rmtree(folder)
        except PermissionError:
            for path, names, _ in os.walk(folder):  # where arbe is not root, a command may have closed folders to it
                for name in names:
                    if not os.path.islink(inner := os.path.join(path, name)):
                        os.chmod(inner, 0o700)
            shutil.rmtree(folder)
        if owner is not None:
            users.give_back(self.root, owner)


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ProviderError(f"{name!r} cannot name a sandbox or a process.", permanent=True)
    return name


def _facts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "sandbox.json").read_text()))


def _cache(folder: Path, bare: Path) -> Path:
    return folder / "cache" / bare.name


def _end_all(owner: int) -> None:
    """Whatever the sandbox's user still runs, should a warden have died at an unlucky moment."""
    end = time.monotonic() + ENDING
    while (left := users.processes(owner)) and time.monotonic() < end:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
