"""The upstream Durable Streams server and the official conformance suite, as npm has them and the lock here pins them.

They are installed once per lock, outside the tree: below `$XDG_CACHE_HOME` or `~/.cache`. The lock names no registry.
An override holds one optional package back, whose newer versions are not there for every platform: `npm ci` refuses
those.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FILES = sorted(path for path in HERE.iterdir() if path.suffix in (".json", ".mjs"))


def installed() -> Path:
    """The folder in which node finds all of it. Whoever comes second waits for the first."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in FILES)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arbe" / f"upstream-streams-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    """Whole, or not there: made aside and renamed."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        made = Path(aside) / "made"
        made.mkdir()
        for path in FILES:
            shutil.copy(path, made)
        # Nothing of it needs a script of its own to be installed, and none should run.
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"npm ci failed:\n{done.stdout}{done.stderr}"
        made.rename(folder)


def conformance(base_url: str, long_poll: float, folder: Path) -> dict[str, str]:
    """What the suite says of a server: each test's name, and `passed` or why not."""
    told = folder / "told.json"
    command = ["node", "node_modules/vitest/vitest.mjs", "run", "conformance.test.mjs", "--root", "."]
    command += ["--reporter=json", f"--outputFile={told}"]
    env = os.environ | {"SERVER_URL": base_url, "LONG_POLL_MS": str(int(long_poll * 1000))}
    done = subprocess.run(command, cwd=installed(), env=env, capture_output=True, text=True, timeout=400, check=False)
    assert told.exists(), f"the suite did not run:\n{done.stdout}{done.stderr}"
    tests = [test for file in json.loads(told.read_text())["testResults"] for test in file["assertionResults"]]
    return {test["fullName"]: _outcome(test) for test in tests}


def _outcome(test: dict) -> str:
    why = (test["failureMessages"] or [""])[0].partition("\n")[0]
    return test["status"] if test["status"] == "passed" else f"{test['status']}: {why}"
