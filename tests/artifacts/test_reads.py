import os
import subprocess
import sys

import pytest

from artifacts import reads
from artifacts.bare import Author, Bare
from artifacts.tree import snapshot


@pytest.fixture
def folder(tmp_path):
    if not reads.probe(tmp_path):
        pytest.skip("the file system here does not tell")
    (tmp_path / "tree/sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (tmp_path / "tree" / name).write_text(f"{name}\n")
    return tmp_path / "tree"


def after(folder, command):
    farm = folder.parent / "farm"
    assert reads.arm(folder, farm)
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    return reads.reads(folder, farm)


def test_what_was_read_is_seen(folder):
    assert after(folder, "cat sub/c > out") == {"sub/c"}


def test_writing_and_listing_is_not_reading(folder):
    assert after(folder, "ls -lR; echo 1 > a; echo 2 >> b; stat sub/c") == set()


def test_the_second_run_starts_afresh(folder):
    after(folder, "cat a b")
    assert after(folder, "cat b") == {"b"}


def test_a_file_that_is_read_and_replaced_is_seen(folder):
    assert after(folder, "sed -i s/a/z/ a; sort b > t; mv t b; cat sub/c; rm sub/c") == {"a", "b", "sub/c"}


def test_a_renamed_file_is_known_by_its_old_name(folder):
    assert after(folder, "mv a z; cat z") == {"a"}


def test_a_compiled_module_stands_for_its_source(folder):
    (folder / "module.py").write_text("x = 1\n")
    run = f"env -u PYTHONDONTWRITEBYTECODE {sys.executable} -c 'import module'"
    assert "module.py" in after(folder, run)
    assert os.listdir(folder / "__pycache__")
    assert "module.py" in after(folder, run)


def test_a_snapshot_reads_unseen(folder, tmp_path):
    bare = Bare.create(tmp_path / "one.git", Author("Ada", "ada@arbe"))
    reads.arm(folder, tmp_path / "farm")
    snapshot(folder, bare)
    assert reads.reads(folder, tmp_path / "farm") == set()


def test_arming_leaves_the_change_time_alone(folder, tmp_path):
    before = (folder / "a").stat().st_mtime_ns
    reads.arm(folder, tmp_path / "farm")
    assert (folder / "a").stat().st_mtime_ns == before
    assert (folder / "a").stat().st_atime_ns == reads.MARKER_NS


def test_the_farm_forgets_what_is_gone(folder, tmp_path):
    reads.arm(folder, tmp_path / "farm")
    (folder / "a").unlink()
    reads.arm(folder, tmp_path / "farm")
    assert len(os.listdir(tmp_path / "farm")) == 3  # b, c and the index
