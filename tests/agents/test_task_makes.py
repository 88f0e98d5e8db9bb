"""What agents made is made again: by the same bot, with the same words, on a branch that lands or stands."""

import pygit2
import pytest

from artifacts.merge import merge
from houses.giving import give
from houses.models import Bot, Budget, Member, Tool
from houses.refusals import Forbidden
from houses.tenancy import inside
from tests.agents.scenarios import say
from tests.runtimes import runtime
from threads import jobs
from threads.models import Command, Thread

REPORT = "Sum up data.csv. " + say("report")


@pytest.fixture
def agent():
    """One program is enough here."""
    runtime("pi")
    return "pi"


@pytest.fixture
def write(repository, oak, ada):
    def written(path, text, by=ada):
        with inside(oak, by):
            repository.write(path, text.encode(), by=by)

    return written


@pytest.fixture
def read(repository, oak):
    def text(path):
        with inside(oak):
            return repository.read(path).decode()

    return text


@pytest.fixture
def sales(write):
    write("data.csv", "name,count\napples,40\npears,2\n")
    write("other.csv", "name,count\nplums,7\n")


@pytest.fixture
def report(crew, bot, thread, sales, ada):
    """data.csv → report.md, by a task"""
    run = crew.done(thread, REPORT, bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    return run


def steps(oak, make):
    with inside(oak):
        return list(Command.objects.filter(make=make).select_related("thread").order_by("created_at"))


def test_changed_data_has_the_same_bot_do_it_again_in_a_child_of_where_it_was_asked(
    crew, report, write, read, oak, bo, bot
):
    write("data.csv", "name,count\napples,40\npears,2\nfigs,8\n")
    with inside(oak, bo):
        asked = Thread.objects.open_in(oak, by=bo, name="elsewhere")
    make = crew.make(asked, "report.md", by=bo)
    assert (make.status, make.reason) == ("completed", "")
    (step,) = steps(oak, make)
    assert (step.bot_id, step.agent_id, step.text, step.targets) == (bot.pk, bo.pk, report.text, ["report.md"])
    assert (step.thread.parent_thread_id, step.thread.agent_id) == (asked.pk, bot.pk)
    assert step.sandbox_id != report.sandbox_id
    assert "3 rows, 50 in all" in read("report.md")
    planned = crew.payload(asked, "make_planned")["steps"]
    assert [one["command"] for one in planned] == [f"ask Pia: {report.text}"]
    assert planned[0]["tokens"] > 0 and planned[0]["bot"] == str(bot.pk)
    assert crew.make(asked, "report.md", by=bo).status == "completed" and len(steps(oak, make)) == 1


def test_a_change_of_what_it_did_not_read_starts_nothing(crew, report, thread, write, oak, ada):
    write("other.csv", "name,count\nplums,8\n")
    make = crew.make(thread, "report.md", by=ada)
    assert make.status == "completed" and steps(oak, make) == []


def test_with_another_model_it_is_made_again_and_the_new_one_remembered(crew, report, thread, oak, ada, bot, model):
    with inside(oak):
        Bot.objects.filter(agent=bot).update(model="m2")
    make = crew.make(thread, "report.md", by=ada)
    assert make.status == "completed"
    assert crew.payload(thread, "make_planned")["steps"][0]["reasons"] == ["The model of Pia changed: m → m2."]
    assert [row.recipe["model"] for row in crew.made("report.md")] == ["m", "m2"]
    assert model.requests[-1].model == "m2"


def test_what_a_command_made_of_it_follows(crew, report, thread, write, read, ada):
    crew.run(thread, "grep -o '[0-9]* in all' report.md > total.txt", by=ada)
    write("data.csv", "name,count\napples,1\n")
    make = crew.make(thread, "total.txt", by=ada)
    assert (make.status, read("total.txt")) == ("completed", "1 in all\n")


def test_a_step_that_fails_leaves_the_file_as_it_was_and_says_why(crew, report, thread, write, read, oak, ada, model):
    before = read("report.md")
    write("data.csv", "name,count\nfigs,1\n")
    model.key = "another"
    make = crew.make(thread, "report.md", by=ada)
    (step,) = steps(oak, make)
    assert make.status == step.status == "failed" and step.reason in make.reason
    assert read("report.md") == before and len(crew.made("report.md")) == 1


def test_an_agent_that_left_the_target_alone_has_not_made_it(crew, bot, thread, write, oak, ada):
    write("data.csv", "1\n")
    crew.done(thread, say("shell", command="cat data.csv >/dev/null; test -f a.md || echo x > a.md"), bot=bot, by=ada)
    write("data.csv", "2\n")
    make = crew.make(thread, "a.md", by=ada)
    assert make.status == "completed" and len(crew.made("a.md")) == 2


@pytest.mark.parametrize("gone", ["left", "unset"])
def test_a_bot_that_is_gone_or_not_set_up_makes_nothing_and_that_is_said(
    crew, report, thread, write, oak, ada, bot, gone
):
    write("data.csv", "name,count\nfigs,1\n")
    with inside(oak):
        if gone == "left":
            Bot.objects.filter(agent=bot).delete()
            Thread.objects.filter(agent=bot).update(agent=None, status="open")
            Member.objects.filter(agent=bot).delete()
        else:
            Bot.objects.filter(agent=bot).update(model="")
    make = crew.make(thread, "report.md", by=ada)
    assert make.status == "failed" and steps(oak, make) == []
    assert ("who is not in this house" if gone == "left" else "Pia has no model yet") in make.reason


def test_making_takes_the_right_to_make_and_no_other(crew, report, thread, write, oak, ada, bo):
    write("data.csv", "name,count\nfigs,1\n")
    with inside(oak, ada):
        give(bo, Tool(pk="delegate_task"), "none", by=ada)
    assert crew.make(thread, "report.md", by=bo).status == "completed"
    with inside(oak, ada):
        give(bo, Tool(pk="make"), "none", by=ada)
    with inside(oak, bo), pytest.raises(Forbidden):
        thread.make("report.md", by=bo)


def test_a_make_begins_no_task_that_nothing_is_left_for(crew, report, thread, write, oak, ada, bot):
    write("data.csv", "name,count\nfigs,1\n")
    with inside(oak, ada):
        Budget.objects.create(house=oak, agent=bot, month_tokens=1)
    make = crew.make(thread, "report.md", by=ada)
    assert make.status == "failed" and steps(oak, make) == [] and "Pia" in make.reason


def test_it_works_on_a_branch_of_its_own(crew, bot, thread, write, oak, ada):
    write("a.txt", "a\n")
    looking = say("shell", command="git rev-parse --abbrev-ref HEAD > head.txt; git status --porcelain >> head.txt")
    run = crew.done(thread, looking, bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    with inside(oak):
        assert run.environment.repository.read("head.txt").decode() == f"runs/{run.pk}\n?? head.txt\n"


def test_what_lands_is_the_bots_commit_and_says_who_asked(crew, report, repository, oak, ada, bot):
    with inside(oak):
        commit = repository.bare.lookup(crew.payload(report, "run_finished")["landed"])
    assert (commit.author.name, commit.author.email) == ("Pia", f"{bot.pk}@arbe")
    title, _, trailers = commit.message.partition("\n\n")
    assert title.startswith("Sum up data.csv.") and "\n" not in title and len(title) <= 100
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
    (step,) = steps(oak, make)
    aside = crew.aside(step)
    crew.comes(step, "pi.tool_result")
    write("b.txt", "by hand\n", by=bo)
    crew.model.let_go("first")
    aside.join(timeout=60)
    make = crew.settle(make)
    assert (step.status, make.status, read("b.txt")) == ("failed", "failed", "by hand\n")
    assert "b.txt changed on `main`" in make.reason and f"runs/{step.pk}" in make.reason


def test_what_failed_is_there_when_it_goes_on_and_lands_with_the_rest(crew, bot, thread, repository, oak, ada, read):
    half = [{"shell": "echo half > half.txt"}, {"shell": "echo more > more.txt"}]
    run = crew.done(thread, say("chain", steps=half, then="") + " ", bot=bot, by=ada)
    assert crew.status(run) == ("failed", "empty_answer")
    with inside(oak):
        assert not repository.bare.listing(repository.head)
    assert crew.made("half.txt") == []
    crew.say(run, "Go on. " + say("shell", command="echo whole > whole.txt"), by=ada)
    assert crew.status(crew.next(run)) == ("completed", "")
    assert [read(f"{name}.txt") for name in ("half", "more", "whole")] == ["half\n", "more\n", "whole\n"]


def test_a_second_run_of_a_session_is_remembered_with_everything_it_was_told(crew, report, write, read, oak, ada):
    crew.say(report, "And shorter. " + say("shell", command="head -c 20 report.md > short.md"), by=ada)
    crew.next(report)
    (row,) = crew.made("short.md")
    assert row.recipe["prompt"].split("\n\n") == [report.text, crew.last(report.thread).text]
    with inside(oak):
        assert {one.path for one in row.inputs.all()} == {"report.md", "data.csv"}


def test_it_may_change_what_it_made_before(crew, report, write, oak, ada):
    crew.say(report, "Add a line. " + say("shell", command="cat report.md; echo more >> report.md"), by=ada)
    crew.next(report)
    assert len(crew.made("report.md")) == 2
    with inside(oak):
        assert report.environment.repository.why("report.md").state == "fresh"


DEATHS = [
    ("_look", "return"),
    ("_keep_tree", "return"),
    ("Repository.land", "return"),
    ("credit", "return"),
    ("Run.finish_run", "return"),
    ("_record_run", "return"),
]


@pytest.mark.parametrize(("at", "moment"), DEATHS)
def test_whoever_writes_it_down_may_die_and_it_is_written_once(crew, bot, thread, sales, oak, ada, at, moment):
    run = crew.hand(thread, REPORT, bot=bot, by=ada)
    crew.killed(run, at, moment)
    crew.follow(run)
    assert crew.status(run) == ("completed", "")
    assert len(crew.events(run, "run_finished")) == 1 and len(crew.made("report.md")) == 1
    with inside(oak):
        assert crew.payload(run, "run_finished")["landed"] == run.environment.repository.head
