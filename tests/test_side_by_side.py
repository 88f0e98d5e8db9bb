"""The gate in several processes: whole files, the long ones first, and what goes together in one of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.side_by_side import LONG

ROOT = Path(__file__).resolve().parent.parent
TEST = """
import os
def test_a(): pass
def test_b(): print("ran", __name__, "in", os.environ["PYTEST_XDIST_WORKER"])
"""


@pytest.mark.parametrize("name", LONG)
def test_what_is_called_long_is_there(name):
    assert (ROOT / name).exists()


def test_a_file_stays_in_one_process_and_what_goes_together_does_too(tmp_path):
    for name in ("acceptance/test_1", "acceptance/test_2", "acceptance/test_3", "test_alone", "test_other"):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEST)
    (tmp_path / "conftest.py").write_text("from tests.side_by_side import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-c", "pytest.ini", "-n", "2", "-rP", "tests"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    where = {}
    for line in done.stdout.splitlines():
        if line.startswith("ran "):
            _, name, _, worker = line.split()
            where.setdefault(worker, set()).add(name.rpartition(".")[2])
    assert sorted(map(sorted, where.values())) == [["test_1", "test_2", "test_3"], ["test_alone", "test_other"]]
