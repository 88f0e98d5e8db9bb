"""A house that stays managed: what owners keep, and what takes more than a token of a few bits."""

import threading

import pytest
from django.db import connection

from artifacts.models import Repository
from houses.giving import give, lock_grants, withdraw
from houses.models import Member, Resource, SignInLink, Token, Tool
from houses.refusals import Forbidden, Invalid, NotFound, Refused
from houses.rights import may, right
from houses.tenancy import inside
from houses.tools import RUN_COMMAND
from threads.models import Thread


@pytest.fixture
def in_oak(oak, ada):
    with inside(oak, ada):
        yield oak


@pytest.fixture
def soup(in_oak, ada):
    return Thread.objects.open_in(in_oak, by=ada, name="Soup")


def capped(agent, cap):
    agent.cap = cap
    return agent


def test_the_last_owner_who_manages_does_not_leave(in_oak, ada, bo):
    Member.objects.of(bo).change_role("owner", by=ada)
    give(bo, in_oak, "rw", by=ada)
    for verb in (
        lambda: Member.objects.of(ada).leave(by=ada),
        lambda: Member.objects.of(ada).change_role("member", by=ada),
        lambda: give(ada, in_oak, "r", by=ada),
    ):
        with pytest.raises(Forbidden, match="keeps at least one owner who can manage it"):
            verb()
    assert Member.objects.of(ada).role == "owner" and right(ada, in_oak).bits == "rwx"


def test_who_manages_admits_and_sends_members_away_and_owners_are_for_owners(in_oak, ada, bo, cy, scribe):
    give(bo, in_oak, "rwx", by=ada)
    in_oak.admit(cy, by=bo)
    Member.objects.of(scribe).leave(by=bo)
    for verb in (
        lambda: Member.objects.of(ada).leave(by=bo),
        lambda: Member.objects.of(bo).change_role("owner", by=bo),
        lambda: in_oak.admit(scribe, role="owner", by=bo),
    ):
        with pytest.raises((Forbidden, Invalid)):
            verb()
    assert {str(one.agent): one.role for one in Member.objects.select_related("agent")} == {
        "Ada": "owner",
        "Bo": "member",
        "Cy": "member",
    }


def test_two_owners_who_take_it_from_each_other_at_once_leave_one(committed, oak, ada, bo):
    with inside(oak, ada):
        Member.objects.of(bo).change_role("owner", by=ada)
    begun, refused = threading.Barrier(2), []

    def take(by, of):
        try:
            with inside(oak, by):
                begun.wait(timeout=30)
                give(of, oak, "none", by=by)
        except (Forbidden, NotFound) as no:  # who came second was refused, or had lost it already
            refused.append(no)
        finally:
            connection.close()

    both = [threading.Thread(target=take, args=pair) for pair in ((ada, bo), (bo, ada))]
    for one in both:
        one.start()
    for one in both:
        one.join(timeout=60)
    with inside(oak):
        assert sorted(right(agent, oak).bits for agent in (ada, bo)) == ["", "rwx"]
    assert len(refused) == 1


def test_owners_who_demote_each_other_at_once_are_answered_one_after_the_other(committed, oak, ada, bo, cy):
    with inside(oak, ada):
        oak.admit(cy, by=ada)
        for one in (bo, cy):
            Member.objects.of(one).change_role("owner", by=ada)
    refused = []

    def demote(by, of):
        try:
            with inside(oak, by):
                Member.objects.of(of).change_role("member", by=by)
        except Forbidden as no:
            refused.append(no)
        finally:
            connection.close()

    with inside(oak, ada):
        lock_grants(oak)
        late = threading.Thread(target=demote, args=(bo, ada))
        late.start()
        late.join(timeout=1)  # by now it waits; what it asked before waiting would be out of date
        Member.objects.of(bo).change_role("member", by=ada)
    late.join(timeout=60)
    with inside(oak):
        assert {one.agent_id for one in Member.objects.owners()} == {ada.pk, cy.pk} and len(refused) == 1


def test_what_an_owner_may_on_the_house_is_for_owners_to_say(soup, in_oak, ada, bo):
    give(bo, in_oak, "rwx", by=ada)
    give(ada, in_oak, "rx", by=ada)
    for verb in (lambda: give(ada, in_oak, "rwx", by=bo), lambda: withdraw(ada, in_oak, by=bo)):
        with pytest.raises(Forbidden, match="Only an owner"):
            verb()
    assert right(ada, in_oak).bits == "rx"
    give(ada, soup, "r", by=bo)  # further down whoever manages may; an owner takes it back
    withdraw(ada, soup, by=ada)


def test_who_may_call_a_tool_does_not_say_who_else_may(in_oak, ada, bo, scribe):
    tool = Tool.objects.get(pk=RUN_COMMAND)
    place = Resource.objects.create(house=in_oak, name="x", kind="x", external_id="1")
    give(bo, place, "rwx", by=ada)
    give(scribe, tool, "none", by=ada)
    for verb in (
        lambda: give(ada, tool, "none", by=bo),
        lambda: withdraw(scribe, tool, by=bo),
        lambda: give(ada, place, "none", by=bo),
    ):
        with pytest.raises(Forbidden, match="somebody with x on it"):
            verb()
    assert may(bo, "x", tool) and not may(scribe, "x", tool)
    give(bo, in_oak, "rwx", by=ada)
    withdraw(scribe, tool, by=bo)
    assert right(scribe, tool).place is None


def test_a_token_that_does_not_manage_takes_nobody_out_of_the_house(in_oak, bo):
    with pytest.raises(Forbidden, match="leaving takes one with x"):
        Member.objects.of(bo).leave(by=capped(bo, "rw"))
    assert Member.objects.of(bo)


def test_what_an_operator_may_takes_a_token_that_manages(in_oak, ada, bo, tmp_path, settings):
    settings.LOCAL_IMPORTS, ada.is_operator = True, True
    token, _ = Token.objects.mint(bo, "bos", by=bo, bits="r")
    (tmp_path / "secret.txt").write_text("theirs")
    assert ada.is_operating and not capped(ada, "rw").is_operating
    for verb in (
        lambda: Repository.objects.create_in(in_oak, "host", by=ada, source=str(tmp_path)),
        lambda: SignInLink.objects.make_again(bo, by=ada),
        lambda: token.revoke(by=ada),
    ):
        with pytest.raises(Refused):
            verb()
    assert not Repository.objects.exists() and Token.objects.live().exists()
    token.revoke(by=capped(ada, "rwx"))
