"""What agents made is made again: by the same bot, with the same words, on a branch that lands or stands."""

from html import unescape

import pytest
from django.urls import reverse

from houses.giving import give
from houses.models import Bot, Budget, Member, Tool
from houses.refusals import Forbidden
from houses.tenancy import inside
from tests.agents.scenarios import say
from tests.runtimes import runtime
from threads.models import Command, Thread

REPORT = "Sum up data.csv. " + say("report")


@pytest.fixture
def agent():
    """One program is enough here."""
    runtime("pi")
    return "pi"


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


@pytest.mark.parametrize("looks", [True, False])
def test_what_an_agent_left_as_it_was_is_made_if_it_looked_at_what_is_new(crew, bot, thread, write, ada, looks):
    write("data.csv", "1\n")
    task = "cat data.csv; echo x > a.md" if looks else "test -f a.md || { cat data.csv; echo x > a.md; }"
    crew.done(thread, say("shell", command=task), bot=bot, by=ada)
    write("data.csv", "2\n")
    make = crew.make(thread, "a.md", by=ada)
    assert make.status == ("completed" if looks else "failed")
    assert looks or make.reason.startswith("a.md is still not fresh: `data.csv` changed")


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


def test_the_page_of_the_file_says_who_made_it_for_whom_with_what_words_and_what_that_cost(
    report, repository, write, client_of, oak, ada
):
    page = client_of(ada).get(reverse("file", args=[oak.pk, repository.pk, "report.md"])).content.decode()
    assert "Made by Pia" in page and "asked by Ada" in page and "What Pia was told" in page
    assert report.text in unescape(page) and "tokens" in page
    write("data.csv", "name,count\nfigs,1\n")
    plan = client_of(ada).get(reverse("plan", args=[oak.pk]), {"repository": repository.pk, "target": "report.md"})
    shown = unescape(plan.content.decode())
    assert f"ask Pia: {report.text}" in shown and "tokens" in shown and "changed" in shown


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
