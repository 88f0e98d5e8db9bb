"""The page of rights: who may what, why, and one click to change it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.giving import give
from houses.models import Agent, Member
from houses.rights import right
from houses.tenancy import inside
from houses.tools import MAKE, Tool


@pytest.fixture
def cook(oak, bo, ada):
    """Bo, who may not more than read in Oak."""
    with inside(oak, ada):
        give(bo, oak, "r", by=ada)
    return bo


def test_everybody_is_there_with_what_they_may_and_why(client_of, at, ada, cook, scribe):
    page = client_of(ada).get(at("rights")).content.decode()
    assert "rwx as owner of this house, where nothing else is granted." in page
    assert "r from house “Oak”, granted by Ada on" in page
    assert "rw as member of this house" in page and "Scribe" in page


def test_the_question_is_answered_in_one_sentence(client_of, at, ada, cook):
    page = client_of(ada).get(at("rights"), {"agent": cook.pk, "bit": "w"}).content.decode()
    assert "no: r from house “Oak”, granted by Ada on" in page


@pytest.mark.parametrize("asked", ["nobody", "00000000-0000-0000-0000-000000000000"])
def test_nobody_may_nothing(client_of, at, ada, asked):
    page = client_of(ada).get(at("rights"), {"agent": asked, "bit": "w"})
    assert "Nobody of that id is in this house." in page.content.decode()


def test_a_grant_is_given_and_taken_back_with_one_click(client_of, at, oak, ada, bo, thread):
    page = client_of(ada)
    where = at("rights_on", "thread", thread.pk)
    page.post(where, {"agent": bo.pk, "bits": "none"})
    with inside(oak, ada):
        assert right(bo, thread).bits == ""
    assert "none from thread “Weather”" in page.get(where).content.decode()
    assert "thread “Weather”" in page.get(at("rights")).content.decode()
    page.post(where, {"agent": bo.pk, "bits": ""})
    with inside(oak, ada):
        assert right(bo, thread).bits == "rw"


@pytest.mark.parametrize("bits", ["xr", "read", "rwxx"])
def test_a_grant_that_means_nothing_is_refused_on_the_page(client_of, at, ada, bo, bits):
    answer = client_of(ada).post(at("rights"), {"agent": bo.pk, "bits": bits})
    assert answer.status_code == 400
    assert "A grant is some of r, w and x" in answer.content.decode()


def test_whoever_does_not_manage_looks_and_does_not_touch(client_of, at, ada, bo, thread):
    where = at("rights_on", "thread", thread.pk)
    page = client_of(bo)
    assert "segments" not in page.get(where).content.decode()
    assert page.post(where, {"agent": bo.pk, "bits": "rwx"}).status_code == 403


def test_whoever_may_call_a_tool_is_not_shown_how_to_grant_it(client_of, at, ada, bo):
    where = at("rights_on", "tool", MAKE)
    page = client_of(bo)
    assert "segments" not in page.get(where).content.decode()
    assert page.post(where, {"agent": ada.pk, "bits": "none"}).status_code == 403
    assert "segments" in client_of(ada).get(where).content.decode()


def test_the_rights_of_a_thread_that_one_may_not_read_are_not_there(client_of, at, oak, ada, bo, thread):
    with inside(oak, ada):
        give(bo, thread, "none", by=ada)
    page = client_of(bo)
    hidden = page.get(at("rights_on", "thread", thread.pk))
    nothing = page.get(at("rights_on", "thread", "nothere"))
    assert (hidden.status_code, nothing.status_code) == (404, 404)
    assert "Weather" not in page.get(at("rights")).content.decode()


def test_a_guest_of_one_thread_is_not_shown_who_else_there_is(client_of, at, oak, ada, bo, scribe, thread):
    with inside(oak, ada):
        give(bo, oak, "none", by=ada)
        give(bo, thread, "rw", by=ada)
    page = client_of(bo)
    assert page.get(at("rights_on", "thread", thread.pk)).status_code == 403
    assert page.get(at("rights")).status_code == 404
    with inside(oak, ada):
        give(bo, thread, "rwx", by=ada)
    assert "Scribe" in page.get(at("rights_on", "thread", thread.pk)).content.decode()


def test_a_parent_that_the_reader_may_not_see_is_not_named(client_of, at, oak, ada, bo, scribe, thread):
    from threads.models import Thread

    with inside(oak, ada):
        child = Thread.objects.open_in(oak, by=ada, name="Soup", parent=thread)
        give(bo, thread, "none", by=ada)
        give(bo, child, "r", by=ada)
        give(scribe, thread, "rwx", by=ada)
    page = client_of(bo).get(at("rights_on", "thread", child.pk), {"agent": scribe.pk, "bit": "x"}).content.decode()
    assert page.count("rwx from a thread you cannot see") == 2
    assert "Weather" not in page


def test_an_owner_reaches_what_they_were_shut_out_of(client_of, at, oak, ada, thread):
    with inside(oak, ada):
        give(ada, thread, "none", by=ada)
    page, where = client_of(ada), at("rights_on", "thread", thread.pk)
    assert page.get(where).status_code == 200
    page.post(where, {"agent": ada.pk, "bits": ""})
    with inside(oak, ada):
        assert right(ada, thread).bits == "rwx"


def test_tools_have_a_page_too(client_of, at, ada, bo, oak):
    client_of(ada).post(at("rights_on", "tool", MAKE), {"agent": bo.pk, "bits": "r"})
    with inside(oak, ada):
        assert right(bo, Tool(pk=MAKE)).bits == "r"


def test_a_page_of_many_costs_no_more_queries_than_one_of_few(client_of, at, oak, ada, bo, thread):
    def queries() -> int:
        page = client_of(ada)
        page.get(at("rights"))
        with CaptureQueriesContext(
            connection,
        ) as caught:
            page.get(at("rights_on", "thread", thread.pk))
        return len(caught)

    with inside(oak, ada):
        give(bo, thread, "r", by=ada)
    before = queries()
    with inside(oak, ada):
        for number in range(30):
            agent = Agent.objects.create_human(f"Guest {number}", f"{number}@oak.example")
            Member.objects.create(house=oak, agent=agent, role="member")
            give(agent, thread, "rw", by=ada)
    assert queries() == before
