import pygit2
import pytest

from artifacts.bare import EMPTY_TREE, Author, Bare
from artifacts.merge import merge
from artifacts.paths import OutsideRepository
from artifacts.sources import CannotImport, bring

ADA = Author("Ada", "ada@arbe", 1_700_000_000)


@pytest.fixture
def bare(tmp_path):
    return Bare.create(tmp_path / "one.git", ADA)


def tree_with(bare, **files):
    return bare.edit(EMPTY_TREE, {name.replace("__", "/"): text.encode() for name, text in files.items()})


def put(bare, edits, message="Change"):
    head = bare.head("main")
    tree = bare.edit(bare.tree_of(head), edits)
    bare.set_branch("main", bare.commit(tree, [head], ADA, message), head)
    return bare.head("main")


def test_a_new_repository_has_an_empty_first_commit(bare):
    commit = bare.lookup(bare.head("main"))
    assert (commit.tree, commit.parents, commit.author) == (EMPTY_TREE, (), ADA)


def test_a_written_file_is_read_back(bare):
    tree = bare.edit(EMPTY_TREE, {"data/deep/a.csv": b"1,2\n"})
    assert bare.read(bare.entry(tree, "data/deep/a.csv").oid) == b"1,2\n"
    assert [e.path for e in bare.listing(tree, "data")] == ["data/deep"]


def test_removing_the_last_file_of_a_folder_removes_the_folder(bare):
    tree = bare.edit(bare.edit(EMPTY_TREE, {"a/b/c": b"x", "d": b"y"}), {"a/b/c": None})
    assert [e.path for e in bare.files(tree)] == ["d"]
    assert bare.edit(tree, {"d": None}) == EMPTY_TREE
    assert bare.edit(tree, {"nothing/there": None}) == tree


def test_a_file_makes_way_for_a_folder(bare):
    tree = bare.edit(bare.edit(EMPTY_TREE, {"a": b"x"}), {"a": None, "a/b": b"y"})
    assert [e.path for e in bare.files(tree)] == ["a/b"]


def test_an_edit_keeps_the_executable_bit(bare):
    from artifacts.bare import Entry

    tree = bare.edit(EMPTY_TREE, {"run.sh": Entry("run.sh", bare.blob(b"#!"), 0o100755)})
    assert bare.entry(bare.edit(tree, {"run.sh": b"#!/bin/sh"}), "run.sh").mode == 0o100755


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", ".git/config", "a/.GIT/x", "a\0b"]
)
def test_a_path_outside_the_repository_is_refused(bare, path):
    with pytest.raises(OutsideRepository):
        bare.edit(EMPTY_TREE, {path: b""})
    with pytest.raises(OutsideRepository):
        bare.entry(EMPTY_TREE, path)


def test_changes_name_what_was_added_changed_and_deleted(bare):
    old, new = tree_with(bare, same="1", gone="2", other__x="3"), tree_with(bare, same="1", fresh="4", other__x="5")
    assert {c.path: c.kind for c in bare.changes(old, new)} == {
        "fresh": "added",
        "gone": "deleted",
        "other/x": "changed",
    }


def test_both_sides_of_a_merge_arrive(bare):
    base = tree_with(bare, a="1\n2\n3\n4\n5\n", b="b")
    merged = merge(bare, base, tree_with(bare, a="0\n2\n3\n4\n5\n", b="b"), tree_with(bare, a="1\n2\n3\n4\n6\n", c="c"))
    assert not merged.conflicts
    assert merged.tree == tree_with(bare, a="0\n2\n3\n4\n6\n", c="c")


def test_a_conflict_is_named_and_keeps_our_side(bare):
    base = tree_with(bare, a="1\n", b="1\n")
    merged = merge(bare, base, tree_with(bare, a="ours\n", b="1\n"), tree_with(bare, a="theirs\n", b="2\n"))
    assert (merged.conflicts, merged.tree) == (("a",), tree_with(bare, a="ours\n", b="2\n"))


def test_a_file_where_the_other_side_needs_a_folder_is_a_conflict(bare):
    base = tree_with(bare, x="1")
    merged = merge(bare, base, tree_with(bare, x="1", a="file"), tree_with(bare, x="1", a__b="folder"))
    assert merged.conflicts == ("a/b",)
    assert merge(bare, base, tree_with(bare, x="1", a__b="f"), tree_with(bare, x="1", a="g")).conflicts == ("a",)


def test_the_commit_that_made_a_file_what_it_is(bare):
    first = put(bare, {"a": b"1"})
    old = bare.oids(first, ["a"])["a"]
    second = put(bare, {"a": b"2"})
    put(bare, {"b": b"-"})
    assert bare.changed_by("main", "a", old).oid == second
    assert bare.changed_by("main", "a", bare.oids(second, ["a"])["a"]) is None
    gone = put(bare, {"a": None})
    assert bare.changed_by("main", "a", old).oid == gone


def test_a_snapshot_is_kept_under_its_name(bare):
    bare.keep("thread/0001", bare.head("main"))
    assert bare.kept("thread/0001") == bare.head("main")


def test_a_repository_is_brought_in_from_a_repository(bare, tmp_path):
    head = put(bare, {"a": b"1"})
    copy, branch = bring(tmp_path / "two.git", f"file://{bare.path}", ADA)
    assert (copy.head("main"), branch) == (head, "main")


def test_the_main_branch_of_elsewhere_keeps_its_name(tmp_path):
    pygit2.init_repository(str(tmp_path / "elsewhere"), initial_head="trunk")
    elsewhere = Bare(tmp_path / "elsewhere")
    elsewhere.set_branch("trunk", elsewhere.commit(elsewhere.empty(), [], ADA, "-"))
    assert bring(tmp_path / "two.git", str(tmp_path / "elsewhere"), ADA)[1] == "trunk"


def test_a_plain_folder_is_brought_in_as_one_commit(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.txt").write_text("hello")
    bare, _ = bring(tmp_path / "two.git", str(tmp_path / "folder"), ADA)
    assert [e.path for e in bare.files(bare.head("main"))] == ["a.txt"]


@pytest.mark.parametrize(
    "source", ["ext::sh -c id", "relative/path", "/not/there", "ftp://x/y", "-oProxy=x", "", "file://"]
)
def test_an_odd_source_is_refused_and_leaves_nothing(tmp_path, source):
    with pytest.raises(CannotImport):
        bring(tmp_path / "two.git", source, ADA)
    assert not (tmp_path / "two.git").exists()
