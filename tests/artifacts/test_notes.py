import pytest

from artifacts.bare import EMPTY_TREE, Author, Bare
from artifacts.notes import append, notes
from artifacts.sources import bring

ADA = Author("Ada", "ada@arbe")


@pytest.fixture
def bare(tmp_path):
    return Bare.create(tmp_path / "one.git", ADA)


def test_lines_gather_on_a_commit(bare):
    head = bare.head("main")
    append(bare, head, [{"path": "a"}], ADA)
    append(bare, head, [{"path": "b", "text": "two\nlines \u2028 and more"}, {"path": "a"}], ADA)
    assert list(notes(bare)) == [(head, {"path": "a"}), (head, {"path": "b", "text": "two\nlines \u2028 and more"})]


def test_there_are_no_notes_at_first(bare):
    assert list(notes(bare)) == []


def test_notes_are_found_on_many_commits(bare):
    head, told = bare.head("main"), {}
    for number in range(40):
        head = bare.commit(EMPTY_TREE, [head], ADA, str(number))
        told[head] = {"number": number}
        append(bare, head, [told[head]], ADA)
    assert dict(notes(bare)) == told


def test_what_is_not_a_story_is_passed_over(bare):
    who = ADA.signature
    bare.repo.create_note('[1]\nnot json\n{"path":"a"}', who, who, bare.head("main"), "refs/notes/arbe")
    assert [line for _, line in notes(bare)] == [{"path": "a"}]


def test_a_clone_carries_the_story(bare, tmp_path):
    append(bare, bare.head("main"), [{"path": "a"}], ADA)
    copy, _ = bring(tmp_path / "two.git", str(bare.path), ADA)
    assert list(notes(copy)) == list(notes(bare))
