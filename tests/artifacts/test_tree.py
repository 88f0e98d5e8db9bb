import os
import time

import pytest

from artifacts import tree as trees
from artifacts.bare import EMPTY_TREE, Author, Bare
from artifacts.restore import restore
from artifacts.tree import snapshot


@pytest.fixture
def bare(tmp_path):
    return Bare.create(tmp_path / "one.git", Author("Ada", "ada@arbe"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def contents(bare, tree):
    return {entry.path: bare.read(entry.oid).decode() for entry in bare.files(tree)}


def test_a_snapshot_holds_files_links_and_the_executable_bit(bare, folder):
    (folder / "a").mkdir()
    (folder / "a/run.sh").write_text("#!")
    (folder / "a/run.sh").chmod(0o755)
    (folder / "link").symlink_to("/etc/passwd")
    tree = snapshot(folder, bare).tree
    assert contents(bare, tree) == {"a/run.sh": "#!", "link": "/etc/passwd"}
    assert bare.entry(tree, "a/run.sh").mode == 0o100755
    assert bare.entry(tree, "link").is_link


def test_git_and_compiled_python_are_passed_by(bare, folder):
    for hidden in (".git/hooks", "sub/.git", "__pycache__"):
        (folder / hidden).mkdir(parents=True)
        (folder / hidden / "x").write_text("evil")
    assert snapshot(folder, bare) == trees.Snapshot(EMPTY_TREE)


def test_what_cannot_be_kept_is_reported(bare, folder, monkeypatch):
    monkeypatch.setattr(trees, "LARGEST", 10)
    os.mkfifo(folder / "pipe")
    (folder / "big").write_text("x" * 11)
    open(os.path.join(os.fsencode(folder), b"\xff"), "w").close()
    found = snapshot(folder, bare)
    assert found.tree == EMPTY_TREE
    assert {left.path for left in found.left_out} == {"pipe", "big", "\ufffd"}


def test_a_file_that_grew_too_large_does_not_look_deleted(bare, folder, tmp_path, monkeypatch):
    (folder / "data").write_text("small")
    before = snapshot(folder, bare, tmp_path / "cache")
    monkeypatch.setattr(trees, "LARGEST", 10)
    (folder / "data").write_text("x" * 11)
    after = snapshot(folder, bare, tmp_path / "cache")
    assert (after.tree, [left.path for left in after.left_out]) == (before.tree, ["data"])


def test_an_unchanged_file_is_not_read_again(bare, folder, tmp_path, monkeypatch):
    (folder / "a").write_text("1")
    os.utime(folder / "a", (1, time.time() - 10))
    first = snapshot(folder, bare, tmp_path / "cache")
    monkeypatch.setattr(trees, "_content", lambda found: pytest.fail(f"read {found.path}"))
    assert snapshot(folder, bare, tmp_path / "cache") == first


def test_a_change_within_the_same_tick_is_seen(bare, folder, tmp_path):
    for number in range(30):
        (folder / "a").write_text(f"{number:02}")
        assert contents(bare, snapshot(folder, bare, tmp_path / "cache").tree) == {"a": f"{number:02}"}


def test_the_cache_follows_changes_and_deletions(bare, folder, tmp_path):
    for name in "abc":
        (folder / name).write_text(name)
    snapshot(folder, bare, tmp_path / "cache")
    (folder / "a").unlink()
    (folder / "b").write_text("new")
    (folder / "c").chmod(0o755)
    again = snapshot(folder, bare, tmp_path / "cache")
    assert again.tree == snapshot(folder, bare).tree
    assert contents(bare, again.tree) == {"b": "new", "c": "c"}


def test_a_snapshot_does_not_move_access_times(bare, folder):
    (folder / "a").write_text("1")
    os.utime(folder / "a", ns=(1, 2))
    snapshot(folder, bare)
    assert (folder / "a").stat().st_atime_ns == 1


def test_a_tree_is_put_back(bare, folder, tmp_path):
    old = bare.edit(EMPTY_TREE, {"a/b": b"1", "c": b"2", "same": b"3"})
    restore(folder, bare, old, cache=tmp_path / "cache")
    assert snapshot(folder, bare, tmp_path / "cache").tree == old == snapshot(folder, bare).tree
    inode = (folder / "same").stat().st_ino
    new = bare.edit(old, {"a/b": None, "c": None, "c/d": b"4", "a": b"5"})
    restore(folder, bare, new, cache=tmp_path / "cache")
    assert snapshot(folder, bare, tmp_path / "cache").tree == new == snapshot(folder, bare).tree
    assert (folder / "same").stat().st_ino == inode


def test_nothing_is_written_through_a_link(bare, folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b").write_text("mine")
    (folder / "a").symlink_to(tmp_path / "outside")
    (folder / "c").symlink_to(tmp_path / "outside/b")
    restore(folder, bare, bare.edit(EMPTY_TREE, {"a/b": b"1", "c": b"2"}))
    assert (tmp_path / "outside/b").read_text() == "mine"
    assert (folder / "a/b").read_text() == "1"


def test_nothing_is_deleted_through_a_link(bare, folder, tmp_path):
    tree = bare.edit(EMPTY_TREE, {"a/b": b"1"})
    restore(folder, bare, tree, cache=tmp_path / "cache")
    (folder / "a/b").unlink()
    (folder / "a").rmdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b").write_text("mine")
    (folder / "a").symlink_to(tmp_path / "outside")
    restore(folder, bare, bare.empty(), cache=tmp_path / "cache")
    assert (tmp_path / "outside/b").read_text() == "mine"
    assert list(folder.iterdir()) == []


def test_what_was_left_out_stays(bare, folder):
    os.mkfifo(folder / "pipe")
    (folder / ".git").mkdir()
    (folder / "x").write_text("-")
    restore(folder, bare, bare.empty())
    assert {p.name for p in folder.iterdir()} == {"pipe", ".git"}
