"""The agents' programs for tests: installed once on this machine, outside the tree, and never changed."""

import fcntl
import shutil
from pathlib import Path

import pytest

from sandboxes import pins, runtimes

FOLDER = Path("~/.cache/arbe/runtimes").expanduser()


def runtime(name):
    """The folder with that program in it; whoever is first brings it."""
    if runtimes.installed(name, FOLDER):
        return FOLDER
    if shutil.which("npm") is None or pins.PROGRAMS[name].pin is None:
        pytest.skip(f"{name} cannot be installed on this machine.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / ".tests", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runtimes.install(name, FOLDER)
    return FOLDER
