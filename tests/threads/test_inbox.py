"""What somebody should look at: it comes once, to those who may read it, and goes when it is dealt with."""

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from houses.giving import give
from houses.models import Agent, Member
from houses.refusals import Forbidden, NotFound
from houses.tenancy import inside
from threads.inbox import FAILED, FINISHED, LONGEST, MENTION, WAITING
from threads.models import InboxEntry, Thread

entries = InboxEntry.objects


@pytest.fixture
def thread(oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="work")


def test_a_thing_comes_once(oak, ada, scribe, thread):
    with inside(oak, ada):
        for text in ("It is done.", "It is done twice."):
            entries.put(ada, thread, FINISHED, "run 1", text, by=scribe)
        entries.put(ada, thread, FAILED, "run 1", "It failed.", by=scribe)
        assert [(one.kind, one.text) for one in entries.of(ada)] == [(FAILED, "It failed."), (FINISHED, "It is done.")]


def test_what_one_did_oneself_is_no_news_and_bots_are_told_in_their_threads(oak, ada, scribe, thread):
    with inside(oak, ada):
        entries.put(ada, thread, MENTION, "1", "Me.", by=ada)
        entries.put(scribe, thread, FINISHED, "1", "Done.", by=ada)
        assert not entries.exists()
        entries.put(scribe, thread, WAITING, "1", "Which one?", by=ada)
        assert entries.get().agent == scribe


def test_nothing_is_told_of_a_thread_that_one_may_not_read(oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        give(bo, thread, "none", by=ada)
        entries.put(bo, thread, WAITING, "1", "A secret?", by=scribe)
        entries.mention("@Bo, a secret!", thread, about="2", by=ada)
        assert not entries.exists()


def test_who_may_not_read_a_thread_any_more_sees_nothing_of_it(oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        entries.put(bo, thread, WAITING, "1", "Which one?", by=scribe)
        give(bo, thread, "none", by=ada)
    with inside(oak, bo):
        assert list(entries.of(bo)) == []
    with inside(oak, ada):
        give(bo, thread, "r", by=ada)
        assert entries.of(bo).get().text == "Which one?"


def test_whoever_leaves_the_house_leaves_their_inbox(oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        entries.put(bo, thread, WAITING, "1", "Which one?", by=scribe)
        Member.objects.of(bo).leave(by=ada)
        assert not entries.exists()
    with pytest.raises(IntegrityError, match="an_inbox_entry_is_a_members"), inside(oak, ada):
        entries.create(house=oak, agent=bo, thread=thread, kind=MENTION, about="x")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@Bo look", {"Bo"}),
        ("look, @bo.", {"Bo"}),
        ("@Bo Peep and @bo", {"Bo Peep", "Bo"}),
        ("@Bob and bo@example.org", set()),
        ("`@Bo` is code", set()),
        ("@Scribe and @Ada", set()),
        ("", set()),
    ],
)
def test_people_are_mentioned_by_name(oak, ada, bo, scribe, thread, text, names):
    peep = Agent.objects.create_human("Bo Peep", "peep@example.org")
    with inside(oak, ada):
        Member.objects.create(house=oak, agent=peep, role="member")
        assert {str(one) for one in entries.mention(text, thread, about="1", by=ada)} == names
        entries.mention(text, thread, about="1", by=ada)
        assert {(str(one.agent), one.kind, one.text) for one in entries.all()} == {
            (name, MENTION, text) for name in names
        }


def test_nobody_next_door_is_mentioned(oak, ada, cy, thread):
    with inside(oak, ada):
        assert entries.mention("@Cy", thread, about="1", by=ada) == []


def test_a_long_text_is_cut(oak, ada, scribe, thread):
    with inside(oak, ada):
        entries.put(ada, thread, FINISHED, "1", "x" * 1_000_000, by=scribe)
        assert len(entries.get().text) == LONGEST


def test_who_is_waited_for_is_known_until_somebody_answers(oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        other = Thread.objects.open_in(oak, by=ada)
        for agent, about in ((ada, "1"), (bo, "2")):
            entries.put(agent, thread, WAITING, about, "Which one?", by=scribe)
        entries.put(ada, other, FINISHED, "3", "Done.", by=scribe)
        with CaptureQueriesContext(connection) as asked:
            waiting = entries.waiting_on([thread.pk, other.pk])
            assert {pk: [str(one.agent) for one in rows] for pk, rows in waiting.items()} == {thread.pk: ["Ada", "Bo"]}
        assert len(asked) == 1
        assert thread.inbox_entries.answered(thread, by=scribe) == 0  # who asked does not answer that
        assert entries.answered(thread, by=bo) == 2
        assert entries.answered(thread, by=bo) == 0
        assert entries.waiting_on([thread.pk]) == {}


def test_the_rest_of_a_run_ends_its_waiting(oak, ada, scribe, thread):
    with inside(oak, ada):
        entries.put(ada, thread, WAITING, "1", "Which one?", by=scribe)
        assert entries.answered(thread, by=None) == 1
        assert entries.of(ada).get().is_done


def test_one_reads_and_finishes_ones_own(oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        for about in "12":
            entries.put(bo, thread, WAITING, about, "Which one?", by=scribe)
        one = entries.of(bo).first()
        for verb in (one.read, one.unread, one.done):
            with pytest.raises(NotFound):
                verb(by=ada)
    with inside(oak, bo):
        assert entries.of(bo).unread().count() == 2
        one.read(by=bo)
        first = one.read_at
        one.read(by=bo)
        assert (one.read_at, one.is_done, entries.of(bo).unread().count()) == (first, False, 1)
        one.unread(by=bo)
        assert one.read_at is None and entries.of(bo).unread().count() == 2
        one.done(by=bo)
        assert one.read_at is not None and one.is_done and entries.of(bo).to_do().count() == 1
        entries.seen(thread, by=bo)
        assert entries.of(bo).unread().count() == 0 and entries.of(bo).to_do().count() == 1


def test_a_token_that_may_only_read_leaves_no_mark(oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        entries.put(bo, thread, WAITING, "1", "Which one?", by=scribe)
    bo.cap = "r"
    with inside(oak, bo), pytest.raises(Forbidden):
        entries.of(bo).get().read(by=bo)


def test_the_inbox_is_one_query_and_what_it_takes_to_know_who_may_read(oak, ada, scribe, thread):
    with inside(oak, ada):
        for n in range(20):
            entries.put(ada, thread, FINISHED, f"{n}", "Done.", by=scribe)
        with CaptureQueriesContext(connection) as asked:
            assert len([str(one.by) for one in entries.of(ada).select_related("by", "thread")]) == 20
        assert len(asked) == 2
