import shutil
from dataclasses import replace

import pytest

from artifacts.bare import Author, Bare, Moved
from artifacts.models import Derivation, Repository
from artifacts.paths import OutsideRepository
from artifacts.repositories import NameTaken, Overtaken
from artifacts.sources import CannotImport
from houses.agents import signed
from houses.refusals import Invalid, NotFound
from houses.tenancy import inside


def folders(var, house):
    folder = var / "repositories" / house.pk
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_file_that_was_written_is_read_back(bench):
    commit = bench.repository.write("data/a.csv", b"1\n", by=bench.by)
    assert bench.repository.read("data/a.csv") == b"1\n"
    assert signed(bench.bare.lookup(commit).author.email) == bench.by.pk


def test_writing_the_same_again_makes_no_commit(bench):
    commit = bench.repository.write("a", b"1", by=bench.by)
    assert bench.repository.write("a", b"1", by=bench.by) == commit


def test_a_file_somebody_else_changed_is_not_overwritten(bench, bo):
    bench.write(a="1")
    seen = bench.oid("a")
    bench.write(by=bo, a="2")
    with pytest.raises(Overtaken):
        bench.repository.write("a", b"3", by=bench.by, expect_oid=seen)
    assert bench.repository.read("a") == b"2"


def test_a_removed_file_is_gone(bench):
    bench.write(a="1")
    bench.repository.remove("a", by=bench.by)
    with pytest.raises(NotFound):
        bench.repository.read("a")
    with pytest.raises(NotFound):
        bench.repository.remove("a", by=bench.by)


def test_nothing_is_written_outside(bench):
    head = bench.repository.head
    with pytest.raises(OutsideRepository):
        bench.repository.write("../x", b"", by=bench.by)
    assert bench.repository.head == head


def test_a_name_is_taken_once_and_a_failure_leaves_nothing(bench, oak, ada, var, tmp_path):
    before, ada.is_operator = folders(var, oak), True
    with pytest.raises(NameTaken):
        Repository.objects.create_in(oak, "work", by=ada)
    with pytest.raises(Invalid):
        Repository.objects.create_in(oak, "../up", by=ada)
    with pytest.raises(CannotImport):
        Repository.objects.create_in(oak, "other", by=ada, source=str(tmp_path / "nowhere"))
    assert folders(var, oak) == before == [f"{bench.repository.pk}.git"]
    assert Repository.objects.count() == 1


def test_next_door_has_its_own_repositories(bench, elm, cy):
    with inside(elm, cy):
        assert not Repository.objects.exists()
        Repository.objects.create_in(elm, "work", by=cy)


def test_a_landing_merges_and_happens_once(bench, bo):
    bench.write(a="1\n2\n3\n4\n5\n")
    base = bench.repository.tree
    theirs = bench.bare.edit(base, {"a": b"1\n2\n3\n4\nsix\n", "new": b"-"})
    bench.write(by=bo, a="one\n2\n3\n4\n5\n")
    landing = bench.repository.land(base, theirs, by=bench.by, message="$ x", key="c1")
    assert bench.repository.read("a") == b"one\n2\n3\n4\nsix\n"
    assert {change.path for change in landing.changes} == {"a", "new"}
    bench.write(by=bo, a="something else\n")
    assert bench.repository.land(base, theirs, by=bench.by, message="$ x", key="c1") == replace(landing, replayed=True)
    assert bench.repository.read("a") == b"something else\n"


def test_nothing_new_is_no_commit(bench):
    head, tree = bench.repository.head, bench.repository.tree
    assert bench.repository.land(tree, tree, by=bench.by, message="$ true").commit == head


def test_a_conflict_is_told_and_the_rest_lands(bench, bo):
    bench.write(a="1\n")
    base = bench.repository.tree
    bench.write(by=bo, a="bo\n")
    landing = bench.repository.land(base, bench.bare.edit(base, {"a": b"x\n", "b": b"y"}), by=bench.by, message="-")
    assert landing.conflicts == ("a",)
    assert (bench.repository.read("a"), bench.repository.read("b")) == (b"bo\n", b"y")


def test_an_imported_repository_brings_its_story(bench, oak, ada, tmp_path):
    ada.is_operator = True
    bench.write(data="1")
    bench.run("sum data > out", reads=["data"], out="one")
    shutil.copytree(bench.repository.folder, tmp_path / "elsewhere.git")
    copy = Repository.objects.create_in(oak, "copy", by=ada, source=str(tmp_path / "elsewhere.git"))
    row = Derivation.objects.of(copy).get()
    assert (row.path, row.command, row.made_by, row.thread_id) == ("out", "sum data > out", ada, "")
    copy.write("data", b"2", by=ada)
    assert [step.command for step in copy.plan("out").steps] == ["sum data > out"]


def test_claims_of_elsewhere_are_only_claims(oak, ada, cy, tmp_path):
    bare = Bare.create(tmp_path / "x.git", Author("x", "x"))
    head, oid = bare.head("main"), "a" * 40
    recipe = {"kind": "command", "command": "true", "environment": "theirs"}
    good = {"path": "a", "oid": oid, "recipe": recipe, "by": str(cy.pk), "name": "Cy", "inputs": [{"path": "../x"}, 3]}
    from artifacts.notes import append

    append(
        bare,
        head,
        [good, {**good, "path": "/etc/passwd"}, {**good, "path": "b", "recipe": 1}, {}],
        bare.lookup(head).author,
    )
    ada.is_operator = True
    with inside(oak, ada):
        copy = Repository.objects.create_in(oak, "copy", by=ada, source=str(bare.path))
        (row,) = Derivation.objects.of(copy)
        assert (row.path, row.made_by, row.made_by_name, row.environment, row.state) == ("a", None, "Cy", "", "missing")


def test_half_a_character_in_a_claim_is_no_obstacle(oak, ada, tmp_path):
    from artifacts.notes import append

    bare = Bare.create(tmp_path / "x.git", Author("x", "x"))
    head = bare.head("main")
    recipe = {"kind": "command", "command": "echo HALF"}
    append(bare, head, [{"path": "a", "oid": "a" * 40, "recipe": recipe, "name": "HALF"}], bare.lookup(head).author)
    note = bare.repo.lookup_note(head, "refs/notes/arbe").message.replace("HALF", r"\ud800 \u0000")
    who = bare.lookup(head).author.signature
    bare.repo.create_note(note, who, who, head, "refs/notes/arbe", True)
    ada.is_operator = True
    with inside(oak, ada):
        copy = Repository.objects.create_in(oak, "copy", by=ada, source=str(bare.path))
        (row,) = Derivation.objects.of(copy)
        assert (row.command, row.made_by_name) == ("echo ? ", "? ")


def test_a_branch_that_moved_meanwhile_is_not_set_back(bench):
    head = bench.repository.head
    bench.write(a="1")
    after = bench.repository.head
    stale = bench.bare.commit(bench.bare.empty(), [head], Author("x", "x"), "late")
    for expect in (head, None):
        with pytest.raises(Moved):
            bench.bare.set_branch("main", stale, expect)
    with pytest.raises(Moved):
        bench.bare.set_branch("nowhere", stale, head)
    assert bench.repository.head == after


def test_folders_of_the_server_are_for_its_operators(bench, oak, ada, tmp_path):
    with pytest.raises(CannotImport):
        Repository.objects.create_in(oak, "copy", by=ada, source=str(tmp_path))
    ada.is_operator = True
    with pytest.raises(CannotImport, match="keeps its own files"):
        Repository.objects.create_in(oak, "copy", by=ada, source=str(bench.repository.folder))


def test_folders_of_the_server_can_be_closed_to_operators_too(oak, ada, settings, tmp_path):
    ada.is_operator, settings.LOCAL_IMPORTS = True, False
    with pytest.raises(CannotImport):
        Repository.objects.create_in(oak, "copy", by=ada, source=str(tmp_path))
