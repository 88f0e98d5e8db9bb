"""The agents' programs on this machine: brought from the npm registry, checked, and shown to sandboxes read-only.

`folder/{bin/COMMAND, NAME-VERSION/…}`; a folder with that name is whole, or it is not there.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from django.conf import settings

from sandboxes import bubble
from sandboxes.pins import PROGRAMS, Pin, Program

Say = Callable[[str], object]
PATIENCE = 1800.0
ARBE = "arbe"


class NotInstalled(Exception):
    """It could not be brought here; says why, and what to do."""


def installed(name: str, folder: Path | None = None) -> str | None:
    """The version that is here, with everything it needs."""
    program, folder = PROGRAMS[name], folder or settings.RUNTIMES
    whole = _place(folder, name).is_dir() and _place(folder, name).name in _started(folder / "bin" / program.command)
    return program.version if whole and all(installed(need, folder) for need in program.needs) else None


def install(name: str, folder: Path | None = None, say: Say = print) -> None:
    """Once, whoever asks and however often."""
    if (program := PROGRAMS.get(name)) is None:
        raise NotInstalled(f"There is no program {name!r}; there are {', '.join(PROGRAMS)}.")
    folder = folder or settings.RUNTIMES
    for need in program.needs:
        install(need, folder, say)
    for each in (folder, folder / "bin"):
        each.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _alone(folder, name):
        if installed(name, folder):
            say(f"{name} {program.version} is installed.")
            return
        _bring(name, program, folder, say)
        _offer(name, program, folder)
        say(f"{name} {program.version} is installed now: {megabytes(_place(folder, name))} MB.")


def megabytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*")) >> 20


def _started(command: Path) -> str:
    """What says which version the command starts."""
    if command.is_symlink():
        return os.readlink(command)
    return command.read_text() if command.exists() else ""


def _place(folder: Path, name: str) -> Path:
    return folder / f"{name}-{PROGRAMS[name].version}"


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Two at once are one after the other, and the second finds it done."""
    with open(folder / f".lock-{name}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bring(name: str, program: Program, folder: Path, say: Say) -> None:
    if (pin := program.pin) is None:
        raise NotInstalled(f"{name} has no package for this kind of machine.")
    for left in folder.glob(f".new-{name}-*"):  # by whoever was killed
        shutil.rmtree(left)
    if _place(folder, name).is_dir():
        return
    coming = folder / f".new-{name}-{os.getpid()}"
    coming.mkdir(mode=0o755)
    try:
        say(f"{name} {program.version}: fetching {pin.package}")
        archive = _fetch(pin, coming)
        _check(archive, pin)
        say(f"{name} {program.version}: unpacking")
        _unpack(archive, program, coming / "whole")
        (coming / "whole").rename(_place(folder, name))
    finally:
        shutil.rmtree(coming)


def _fetch(pin: Pin, into: Path) -> Path:
    if (npm := shutil.which("npm")) is None:
        raise NotInstalled("The agents' programs come by npm, and there is none on this machine. Install it (nodejs).")
    words = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(into), pin.package]
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=into, timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        raise NotInstalled(f"npm did not bring {pin.package} in {PATIENCE:.0f} seconds.") from late
    found = list(into.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise NotInstalled(f"npm could not bring {pin.package}: {said or 'it says nothing'}")
    return found[0]


def _check(archive: Path, pin: Pin) -> None:
    with open(archive, "rb") as file:
        found = "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if found != pin.integrity:
        raise NotInstalled(
            f"What came as {pin.package} is not what arbe knows by that name ({found} is not {pin.integrity});"
            " nothing of it was kept."
        )


def _unpack(archive: Path, program: Program, into: Path) -> None:
    """Plain files alone, and of these what is kept: nothing in an archive can lead elsewhere."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name).parts[1:]
            if not member.isreg() or ".." in path or not _kept("/".join(path), program):
                continue
            target = into.joinpath(*path)
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content
            with open(target, "xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
            target.chmod(0o755 if member.mode & 0o111 else 0o644)


def _kept(path: str, program: Program) -> bool:
    return any(fnmatchcase(path, keep + "*" if keep.endswith("/") else keep) for keep in program.keeps)


def _offer(name: str, program: Program, folder: Path) -> None:
    """In `bin`, from where sandboxes start it; the command `arbe` is put behind its link by each sandbox."""
    (start,) = _place(folder, name).glob(program.starts)
    new = folder / "bin" / f".new-{program.command}"
    new.unlink(missing_ok=True)
    if start.suffix == ".js":
        node = f"{bubble.PROGRAMS}/bin/node"
        new.write_text(f'#!/bin/sh\nexec {node} {bubble.PROGRAMS}/{start.relative_to(folder)} "$@"\n')
        new.chmod(0o755)
    else:
        new.symlink_to(os.path.relpath(start, folder / "bin"))
    new.rename(folder / "bin" / program.command)
    with suppress(FileExistsError):
        (folder / "bin" / ARBE).symlink_to(bubble.ARBE)
