"""Where what agents made goes: a branch of its own, then all of it onto the repository's, or nothing."""

import pygit2
import pytest

from artifacts.merge import merge
from houses.refusals import NotFound
from houses.tenancy import inside
from tests.agents.scenarios import say
from tests.runtimes import runtime
from threads import jobs
from threads.models import Command


@pytest.fixture
def agent():
    """One program is enough here."""
    runtime("pi")
    return "pi"


def test_it_works_on_a_branch_of_its_own(crew, bot, thread, write, oak, ada):
    write("a.txt", "a\n")
    looking = say("shell", command="git rev-parse --abbrev-ref HEAD > head.txt; git status --porcelain >> head.txt")
    run = crew.done(thread, looking, bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    with inside(oak):
        assert run.environment.repository.read("head.txt").decode() == f"runs/{run.pk}\n?? head.txt\n"


def test_what_lands_is_the_bots_commit_and_says_who_asked(crew, bot, thread, repository, oak, ada):
    report = crew.done(thread, "Sum it up. " + say("write") + "\n\nThe rest of it.", bot=bot, by=ada)
    with inside(oak):
        commit = repository.bare.lookup(crew.payload(report, "run_finished")["landed"])
    assert (commit.author.name, commit.author.email) == ("Pia", f"{bot.pk}@arbe")
    title, _, trailers = commit.message.partition("\n\n")
    assert title == "Sum it up. " + say("write") and "\n" not in title and len(title) <= 100
    assert trailers.splitlines() == [
        f"Arbe-Run: {report.pk}",
        f"Asked-by: Ada <{ada.pk}@arbe>",
        f"Arbe-Key: {report.pk}",
    ]


@pytest.fixture
def conflicted(crew, bot, thread, write, model, oak, ada, bo):
    """An agent rewrites a.txt and adds b.txt; meanwhile Bo rewrites a.txt, too."""
    write("a.txt", "one\n")
    steps = [{"shell": "echo agent > a.txt; echo new > b.txt"}, {"hold": "bo"}]
    run = crew.hand(thread, say("chain", steps=steps), bot=bot, by=ada)
    aside = crew.aside(run)
    crew.comes(run, "pi.tool_result")
    write("a.txt", "Bo\n", by=bo)
    write("c.txt", "also Bo\n", by=bo)
    model.let_go("bo")
    aside.join(timeout=60)
    assert not aside.is_alive()
    return run


def test_of_what_conflicts_nothing_lands_and_a_branch_keeps_it(crew, conflicted, repository, oak, read):
    finished = crew.payload(conflicted, "run_finished")
    assert (finished["status"], finished["code"]) == ("completed", "conflict")
    assert (finished["conflicts"], finished["branch"], finished["landed"]) == (
        ["a.txt"],
        f"runs/{conflicted.pk}",
        None,
    )
    assert "a.txt changed on `main`" in finished["reason"] and finished["branch"] in finished["reason"]
    assert read("a.txt") == "Bo\n" and crew.made("b.txt") == []
    with inside(oak):
        assert repository.bare.entry(repository.head, "b.txt") is None
        kept = repository.bare.head(finished["branch"])
        assert repository.bare.read(repository.bare.oids(kept, ["b.txt"])["b.txt"]) == b"new\n"


def test_the_branch_begins_where_the_run_began(crew, conflicted, repository, oak):
    """So that git merges it as three sides, and says what conflicts."""
    with inside(oak):
        bare, head = repository.bare, repository.head
        kept = bare.head(f"runs/{conflicted.pk}")
        base = str(bare.repo.merge_base(pygit2.Oid(hex=head), pygit2.Oid(hex=kept)))
        assert bare.lookup(kept).parents == (base,)
        merged = merge(bare, bare.tree_of(base), bare.tree_of(head), bare.tree_of(kept))
        assert merged.conflicts == ("a.txt",) and bare.entry(merged.tree, "c.txt") and bare.entry(merged.tree, "b.txt")


def test_the_next_run_finds_both_sides_in_the_file_and_lands_all_of_it(crew, conflicted, read, ada, model):
    looking = say("shell", command="git diff > diff.txt; printf 'Bo and agent\\n' > a.txt")
    crew.say(conflicted, "Bring it together. " + looking, by=ada)
    run = crew.next(conflicted)
    assert crew.status(run) == ("completed", "")
    finished = crew.payload(run, "run_finished")
    assert (finished["conflicts"], finished["branch"]) == ([], None)
    assert [read(f"{name}.txt") for name in "abc"] == ["Bo and agent\n", "new\n", "also Bo\n"]
    assert len(crew.made("b.txt")) == 1 and crew.made("c.txt") == []
    assert "+<<<<<<< yours\n+agent\n+=======\n Bo\n+>>>>>>> main" in read("diff.txt")
    assert any("Both sides are in a.txt" in told for told in model.requests[-1].told.users)


def test_marks_that_nobody_resolved_do_not_land(crew, conflicted, read, ada):
    crew.say(conflicted, "Whatever. " + say("write", file="d.txt"), by=ada)
    run = crew.next(conflicted)
    finished = crew.payload(run, "run_finished")
    assert (finished["code"], finished["conflicts"], finished["branch"]) == ("conflict", ["a.txt"], f"runs/{run.pk}")
    assert read("a.txt") == "Bo\n"
    with pytest.raises(NotFound):
        read("d.txt")


def test_a_command_in_its_tree_does_not_land_what_conflicted(crew, conflicted, read, ada):
    crew.run(conflicted.thread, "echo mine > mine.txt", by=ada)
    assert read("mine.txt") == "mine\n" and read("a.txt") == "Bo\n"
    with pytest.raises(NotFound):
        read("b.txt")


def test_a_step_that_conflicts_has_failed(crew, bot, thread, write, read, oak, ada, bo):
    write("a.txt", "one\n")
    task = [{"shell": "tr a-z A-Z < a.txt > b.txt"}, {"hold": "first"}]
    crew.model.let_go("first")
    crew.done(thread, say("chain", steps=task), bot=bot, by=ada)
    write("a.txt", "two\n")
    crew.model.hold_back("first")
    with inside(oak, ada):
        make = thread.make("b.txt", by=ada)
    jobs.advance(oak.pk, make.pk)
    with inside(oak):
        step = Command.objects.select_related("thread").get(make=make)
    aside = crew.aside(step)
    crew.comes(step, "pi.tool_result")
    write("b.txt", "by hand\n", by=bo)
    crew.model.let_go("first")
    aside.join(timeout=60)
    make = crew.settle(make)
    assert (step.status, make.status, read("b.txt")) == ("failed", "failed", "by hand\n")
    assert "b.txt changed on `main`" in make.reason and f"runs/{step.pk}" in make.reason


def test_what_was_stopped_is_there_when_it_goes_on_and_lands_with_the_rest(crew, bot, thread, oak, ada, read):
    half = [{"shell": "echo half > half.txt"}, {"hold": "never"}]
    run = crew.hand(thread, say("chain", steps=half), bot=bot, by=ada)
    aside = crew.aside(run)
    crew.comes(run, "pi.tool_result")
    crew.stop(run, by=ada)
    aside.join(timeout=60)
    assert crew.status(run) == ("cancelled", "stopped")
    with inside(oak):
        repository = run.environment.repository
        assert not repository.bare.listing(repository.head)
    assert crew.made("half.txt") == []
    crew.say(run, "Go on. " + say("shell", command="echo whole > whole.txt"), by=ada)
    assert crew.status(crew.next(run)) == ("completed", "")
    assert [read(f"{name}.txt") for name in ("half", "whole")] == ["half\n", "whole\n"]
    assert len(crew.made("half.txt")) == len(crew.made("whole.txt")) == 1
