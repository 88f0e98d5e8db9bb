"""Names that are not UTF-8, in repositories from elsewhere: kept as they are, told as far as they can be."""

import os
import subprocess

import orjson
import pytest

from artifacts.bare import Author
from artifacts.history import history
from artifacts.merge import merge
from artifacts.models import Repository
from artifacts.paths import OutsideRepository
from artifacts.reads import arm, reads
from artifacts.restore import restore
from artifacts.sources import bring
from artifacts.tree import snapshot
from houses.tenancy import inside

ADA = Author("Ada", "ada@arbe")
CAFE, INNER = b"caf\xe9", b"d\xe9/x"
TOLD = {"caf\ufffd", "d\ufffd/x", "größe", "plain"}


@pytest.fixture
def source(tmp_path):
    """A repository of somebody who writes Latin-1: in names, in their own and in what they say."""
    folder = os.fsencode(tmp_path / "source")
    os.makedirs(folder + b"/d\xe9")
    for name in (CAFE, INNER, "größe".encode(), b"plain"):
        with open(folder + b"/" + name, "w") as file:
            file.write("1\n")
    who = [b"-c", b"user.name=Zo\xeb", b"-c", b"user.email=z@x", b"-c", b"i18n.commitEncoding=nonsense"]
    for words in ([b"init", b"-q"], [b"add", b"-A"], [*who, b"commit", b"-q", b"-m", b"caf\xe9"]):
        subprocess.run([b"git", b"-C", folder, *words], check=True, capture_output=True)
    return tmp_path / "source"


@pytest.fixture
def bare(source, tmp_path):
    return bring(tmp_path / "copy.git", str(source), ADA)[0]


def real(bare, tree):
    return {os.fsencode(one.path): bare.read(one.oid) for one in bare.files(tree)}


def test_they_are_written_to_disk_seen_there_and_remembered(bare, tmp_path):
    tree, folder, cache = bare.tree_of(bare.head("master")), tmp_path / "tree", tmp_path / "cache"
    assert {change.path for change in restore(folder, bare, tree, cache=cache)} == TOLD
    assert os.path.exists(os.fsencode(folder) + b"/" + INNER)
    assert snapshot(folder, bare, cache).tree == tree
    with open(os.fsencode(folder) + b"/" + INNER, "w") as file:
        file.write("two\n")
    os.unlink(os.fsencode(folder) + b"/" + CAFE)
    (folder / "größe").write_text("two\n")
    seen = snapshot(folder, bare, cache)
    assert real(bare, seen.tree) == {INNER: b"two\n", "größe".encode(): b"two\n", b"plain": b"1\n"}
    assert {(one.path, one.kind) for one in bare.changes(tree, seen.tree)} == {
        ("caf\ufffd", "deleted"),
        ("d\ufffd/x", "changed"),
        ("größe", "changed"),
    }
    restore(folder, bare, tree, cache=cache)
    assert snapshot(folder, bare, cache).tree == tree == snapshot(folder, bare, cache).tree


def test_trees_with_them_are_whole_to_git(bare, tmp_path):
    tree = bare.tree_of(bare.head("master"))
    edited = bare.edit(tree, {os.fsdecode(INNER): b"two", os.fsdecode(b"a\xff"): b"new", "z": b"z"})
    bare.set_branch("odd", bare.commit(edited, [bare.head("master")], ADA, "-"))
    checked = subprocess.run(["git", "-C", bare.path, "fsck", "--strict"], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert bare.edit(edited, {os.fsdecode(INNER): b"1\n", os.fsdecode(b"a\xff"): None, "z": None}) == tree
    with pytest.raises(OutsideRepository):
        bare.edit(tree, {"\ud800": b""})


def test_they_merge(bare):
    base = bare.tree_of(bare.head("master"))
    inner, cafe = os.fsdecode(INNER), os.fsdecode(CAFE)
    ours = bare.edit(base, {inner: b"ours\n", "plain": b"2\n"})
    theirs = bare.edit(base, {inner: b"theirs\n", cafe: b"2\n", os.fsdecode(b"\xff"): b"new"})
    merged = merge(bare, base, ours, theirs)
    assert merged.conflicts == (inner,)
    found = real(bare, merged.tree)
    assert (found[INNER], found[CAFE], found[b"\xff"], found[b"plain"]) == (b"ours\n", b"2\n", b"new", b"2\n")


def test_reading_them_is_seen(bare, tmp_path):
    folder, farm = tmp_path / "tree", tmp_path / "farm"
    restore(folder, bare, bare.tree_of(bare.head("master")))
    arm(folder, farm)
    with open(os.fsencode(folder) + b"/" + CAFE) as file:
        file.read()
    assert reads(folder, farm) == {os.fsdecode(CAFE)}


def test_what_is_told_of_them_is_text(bare):
    head = bare.head("master")
    told = [(one.name, one.path) for one in bare.listing(head)] + history(bare, head, "", 5)
    told += [one.path for one in bare.changes(bare.empty(), bare.tree_of(head))]
    (said,) = (one for one in told if isinstance(one, dict))
    assert (said["author"], said["subject"]) == ("Zo\ufffd", "caf\ufffd")
    assert orjson.dumps([{**one, "at": ""} if isinstance(one, dict) else one for one in told])


def test_a_house_works_with_such_a_repository(oak, ada, source):
    ada.is_operator = True
    copy = Repository.objects.create_in(oak, "copy", by=ada, source=str(source))
    inner = os.fsdecode(INNER)
    with inside(oak, ada):
        base = copy.tree
        theirs = copy.bare.edit(base, {inner: b"theirs\n", "made": b"1"})
        copy.write("plain", b"2", by=ada)
        landing = copy.land(base, theirs, by=ada, message="$ x", key="c1")
        assert {change.path for change in landing.changes} == {"d\ufffd/x", "made"}
        assert copy.land(base, copy.bare.edit(base, {inner: b"3"}), by=ada, message="-").conflicts == ("d\ufffd/x",)
        assert copy.stale() == {}
