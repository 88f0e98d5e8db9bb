"""Who may do what in a thread: every verb asks first, and a no leaves no row, no event and no job."""

import inspect
from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django_rq import get_queue

from artifacts.plan import UnknownTarget
from houses.giving import give
from houses.models import Agent, Bot, Member, Tool
from houses.refusals import Forbidden, NotFound
from houses.tenancy import inside
from tests.agents.impostors import SILENT, install
from tests.houses.furniture import models, sql
from threads.models import Command, Make, Thread

# Every verb, by where it is, with something to say it to.
VERBS = {
    (Thread, "say"): lambda w, by: w.thread.say("hello", by=by),
    (Thread, "rename"): lambda w, by: w.thread.rename("Another", by=by),
    (Thread, "pin"): lambda w, by: w.thread.pin(by=by),
    (Thread, "unpin"): lambda w, by: w.pinned.unpin(by=by),
    (Thread, "tag"): lambda w, by: w.thread.tag(["hot"], by=by),
    (Thread, "close"): lambda w, by: w.thread.close(by=by),
    (Thread, "reopen"): lambda w, by: w.closed.reopen(by=by),
    (Thread, "stop"): lambda w, by: w.thread.stop(by=by),
    (Thread, "share"): lambda w, by: w.thread.share(timedelta(hours=1), by=by),
    (Thread, "run"): lambda w, by: w.thread.run("true", by=by),
    (Thread, "make"): lambda w, by: w.thread.make("made.txt", by=by),
    (Thread, "delegate"): lambda w, by: w.thread.delegate("count", bot=w.bot, by=by),
    (Command, "stop"): lambda w, by: w.command.stop(by=by),
    (Make, "stop"): lambda w, by: w.make.stop(by=by),
    (QuerySet, "open_in"): lambda w, by: Thread.objects.open_in(w.house, by=by, name="new"),
    (QuerySet, "for_target"): lambda w, by: Thread.objects.for_target(w.repository, "made.txt", by=by),
}
OF_THE_HOUSE = {(QuerySet, "open_in"), (QuerySet, "for_target")}
# What arbe itself does, after whoever wanted it was asked.
ASKED_BEFORE = {
    (Thread, "shut"),
    (Thread, "queue"),
    (Thread, "hear"),
    (Thread, "start_run"),
    (QuerySet, "begin_in"),
    (QuerySet, "begin"),
    (Command, "end"),
    (Command, "rest"),
    (Command, "finish"),
    (Command, "finish_run"),
    (Command, "settle"),
    (Make, "end"),
}


class Work:
    """A thread of Oak's in which something runs, one that is pinned, and one that is closed."""

    def __init__(self, house, ada, repository, environment):
        self.house, self.ada, self.repository = house, ada, repository
        with inside(house, ada):
            self.top = Thread.objects.open_in(house, by=ada, name="top")
            self.thread, self.pinned, self.closed = (
                Thread.objects.open_in(house, by=ada, name=name, parent=self.top)
                for name in ("work", "pinned", "closed")
            )
            self.pinned.pin(by=ada)
            self.closed.close(by=ada)
            self.command = self.thread.run("sleep 60", by=ada)
            self.bot = Agent.objects.create_bot("Pia", "pi")
            Member.objects.create(house=house, agent=self.bot, role="member")
            Bot.objects.create(house=house, agent=self.bot, model="m", address="http://127.0.0.1:1/v1")
            self.make = Make.objects.create(
                house=house, thread=self.thread, repository=repository, agent=ada, target="other.txt"
            )

    def grant(self, agent, scope, bits):
        with inside(self.house, self.ada):
            give(agent, scope, bits, by=self.ada)

    def all_there_is(self):
        """Every row of the house, and every job that waits."""
        tables = sorted(model._meta.db_table for model in models() if model is not Agent)
        with inside(self.house):
            rows = {
                table: sql(f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{table}" t')[0][0]
                for table in tables
            }
        return rows, [get_queue(queue).get_job_ids() for queue in ("commands", "runs")]

    def tries(self, verb, by):
        """The refusal, or None if it was done."""
        try:
            with inside(self.house, by):
                VERBS[verb](self, by)
        except (Forbidden, NotFound) as refused:
            return type(refused)
        return None


@pytest.fixture
def work(told, oak, ada, repository, environment, settings, tmp_path):
    settings.RUNTIMES = install(tmp_path / "programs", "pi", SILENT)
    settings.STREAMS_KEY = "signs links"
    return Work(oak, ada, repository, environment)


def leave(work, bo):
    with inside(work.house, work.ada):
        Member.objects.of(bo).leave(by=work.ada)


def on_the_thread(bits):
    return lambda work, bo: [work.grant(bo, one, bits) for one in (work.thread, work.pinned, work.closed)]


# What somebody loses, and what they are told by a verb of a thread, and by one of the house.
LOSSES = {
    "w on the thread": (on_the_thread("r"), Forbidden, None),
    "w on the thread, with x there": (on_the_thread("rx"), Forbidden, None),
    "everything on the thread": (on_the_thread("none"), NotFound, None),
    "w on the thread above": (lambda work, bo: work.grant(bo, work.top, "r"), Forbidden, None),
    "everything on the thread above": (lambda work, bo: work.grant(bo, work.top, "none"), NotFound, None),
    "w on the house": (lambda work, bo: work.grant(bo, work.house, "r"), Forbidden, Forbidden),
    "everything on the house": (lambda work, bo: work.grant(bo, work.house, "none"), NotFound, NotFound),
    "w of the token": (lambda work, bo: setattr(bo, "cap", "r"), Forbidden, Forbidden),
    "membership": (leave, NotFound, NotFound),
    "the account": (lambda work, bo: bo.deactivate(), NotFound, NotFound),
}


def test_every_verb_of_a_thread_is_tried_here():
    """Whatever takes a `by` is a verb: it asks, or whoever calls it has asked."""
    found = set()
    for model in (Thread, Command, Make):
        for place in (model, type(model.objects.all())):
            for name, what in inspect.getmembers(place, inspect.isfunction):
                if "by" in inspect.signature(what).parameters and what.__module__.startswith("threads."):
                    found.add((model if place is model else QuerySet, name))
    assert {verb for verb in found if not verb[1].startswith("_")} == VERBS.keys() | ASKED_BEFORE


@pytest.mark.parametrize("loss", LOSSES)
def test_whoever_may_not_is_refused_and_nothing_is_left(work, bo, loss):
    lose, of_thread, of_house = LOSSES[loss]
    lose(work, bo)
    before = work.all_there_is()
    for verb in VERBS:
        expected = of_house if verb in OF_THE_HOUSE else of_thread
        if expected:
            assert (verb, work.tries(verb, bo)) == (verb, expected)
    assert work.all_there_is() == before


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb[0].__name__}.{verb[1]}")
def test_whoever_may_is_not_refused_and_then_it_shows(work, bo, verb):
    before = work.all_there_is()
    if verb == (Thread, "make"):  # nobody made that yet, which is said to whoever may make
        with pytest.raises(UnknownTarget):
            work.tries(verb, bo)
        return
    assert work.tries(verb, bo) is None
    assert work.all_there_is() != before


@pytest.mark.parametrize("bits", ["none", "r", "rw"])
@pytest.mark.parametrize(("verb", "tool"), [((Thread, "run"), "run_command"), ((Thread, "make"), "make")])
def test_work_takes_x_on_its_tool_too(work, bo, verb, tool, bits):
    work.grant(bo, Tool(pk=tool), bits)
    before = work.all_there_is()
    assert work.tries(verb, bo) is Forbidden
    assert work.all_there_is() == before
    assert work.tries((Thread, "say"), bo) is None


def test_a_child_takes_w_on_its_parent_and_nothing_on_the_house(work, bo):
    work.grant(bo, work.house, "none")
    work.grant(bo, work.thread, "rw")
    with inside(work.house, bo):
        child = Thread.objects.open_in(work.house, by=bo, parent=work.thread)
        child.say("hello", by=bo)
        with pytest.raises(NotFound):
            Thread.objects.open_in(work.house, by=bo, parent=work.top)
        with pytest.raises(NotFound):
            Thread.objects.open_in(work.house, by=bo)


def test_a_guest_with_the_tool_runs_in_their_thread_alone(work, bo):
    work.grant(bo, work.house, "none")
    work.grant(bo, work.thread, "rw")
    assert work.tries((Thread, "run"), bo) is Forbidden
    work.grant(bo, Tool(pk="run_command"), "x")
    assert work.tries((Thread, "run"), bo) is None
    with inside(work.house, bo), pytest.raises(NotFound):
        work.top.run("true", by=bo)


def test_what_one_may_not_read_is_in_no_list(work, bo):
    work.grant(bo, work.top, "none")
    work.grant(bo, work.pinned, "r")
    with inside(work.house, bo):
        assert list(Thread.objects.readable_by(bo)) == [work.pinned]
        assert not Command.objects.readable_by(bo).exists() and not Make.objects.readable_by(bo).exists()
        assert Thread.objects.called({work.thread.pk, work.pinned.pk}, bo) == {work.pinned.pk: "pinned"}
    with inside(work.house, work.ada):
        assert Thread.objects.readable_by(work.ada).count() == 4
        assert Command.objects.readable_by(work.ada).get() == work.command


@pytest.mark.parametrize("guest", [False, True])
def test_a_thousand_threads_cost_as_many_queries_as_one(oak, ada, bo, thread, django_assert_max_num_queries, guest):
    with inside(oak, ada):
        if guest:
            give(bo, thread, "r", by=ada)
        Thread.objects.bulk_create(Thread(house=oak, name="many", stream_id=f"many {n}") for n in range(1000))
    with inside(oak, bo), django_assert_max_num_queries(3):
        assert len(Thread.objects.readable_by(bo)) == 1001
