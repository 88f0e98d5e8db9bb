"""Agents and members: who may be in a house, and that somebody always owns it."""

import pytest
from django.db import IntegrityError, transaction

from houses.arrivals import welcome_bot, welcome_person
from houses.membership import house_for, houses_of, is_member
from houses.models import Agent, House, Member
from houses.refusals import Forbidden, Invalid, NotFound
from houses.tenancy import inside
from tests.houses.furniture import sql


@pytest.fixture
def in_house(oak, ada):
    with inside(oak, ada):
        yield oak


def role_of(agent):
    member = Member.objects.of(agent)
    return member and member.role


@pytest.mark.parametrize(
    ("kind", "runtime", "name"),
    [
        ("'ghost'", "NULL", "an_agent_is_human_or_bot"),
        ("'human'", "'pi'", "humans_have_no_runtime"),
        ("'bot'", "NULL", "bots_name_a_runtime"),
    ],
)
def test_the_database_knows_what_an_agent_is(ada, kind, runtime, name):
    with pytest.raises(IntegrityError, match=name):
        sql(f"UPDATE agents SET kind = {kind}, runtime = {runtime}")


def test_a_bot_has_no_way_in_but_its_token(scribe):
    assert scribe.is_bot and not scribe.has_usable_password() and scribe.email is None


def test_who_founds_a_house_owns_it(oak, ada):
    with inside(oak):
        assert [(member.agent, member.role) for member in Member.objects.all()] == [(ada, "owner")]


@pytest.mark.parametrize("name", ["", "  ", "\n"])
def test_a_house_needs_a_name(ada, name):
    with pytest.raises(Invalid):
        House.objects.found(name, by=ada)


def test_admitting_twice_is_admitting_once(in_house, ada, cy):
    in_house.admit(cy, by=ada)
    in_house.admit(cy, by=ada)
    assert Member.objects.count() == 2 and role_of(cy) == "member"


def test_only_owners_admit_and_promote(in_house, bo, cy):
    with pytest.raises(Forbidden):
        in_house.admit(cy, by=bo)
    with pytest.raises(Forbidden):
        Member.objects.of(bo).change_role("owner", by=bo)
    assert (role_of(cy), role_of(bo)) == (None, "member")


def test_an_owner_of_next_door_is_nobody_here(in_house, elm, cy):
    with pytest.raises(NotFound):
        in_house.admit(cy, by=cy)


def test_a_bot_never_owns(in_house, ada, scribe):
    with pytest.raises(Invalid):
        in_house.admit(scribe, role="owner", by=ada)
    with pytest.raises(Invalid):
        Member.objects.of(scribe).change_role("owner", by=ada)
    with pytest.raises(Invalid):
        in_house.admit(scribe, role="king", by=ada)


def test_a_house_keeps_an_owner(in_house, ada, bo):
    for leaving in (lambda m: m.leave(by=ada), lambda m: m.change_role("member", by=ada)):
        with pytest.raises(Forbidden, match="keeps at least one owner"):
            leaving(Member.objects.of(ada))
    Member.objects.of(bo).change_role("owner", by=ada)
    Member.objects.of(ada).leave(by=ada)
    assert (role_of(ada), role_of(bo)) == (None, "owner")


def test_an_owner_stays_one_when_told_so_again(in_house, ada):
    Member.objects.of(ada).change_role("owner", by=ada)
    assert role_of(ada) == "owner"


def test_one_may_leave_and_be_sent_away(in_house, ada, bo, scribe):
    Member.objects.of(bo).leave(by=bo)
    Member.objects.of(scribe).leave(by=ada)
    assert Member.objects.count() == 1


def test_a_member_sends_nobody_away(in_house, bo, scribe):
    with pytest.raises(Forbidden):
        Member.objects.of(scribe).leave(by=bo)


def test_leaving_one_house_is_leaving_one_house(oak, elm, ada, bo, cy):
    with inside(elm, cy):
        elm.admit(bo, by=cy)
    with inside(oak, ada):
        Member.objects.of(bo).leave(by=ada)
    assert (is_member(oak.pk, bo.pk), is_member(elm.pk, bo.pk)) == (False, True)


def test_the_doors_question(oak, elm, ada, cy):
    assert is_member(oak.pk, ada.pk) and is_member(oak.pk, str(ada.pk))
    assert not is_member(elm.pk, ada.pk) and not is_member("nowhere", ada.pk)
    Agent.objects.filter(pk=ada.pk).update(is_active=False)
    assert not is_member(oak.pk, ada.pk)


def test_finding_is_authorising(oak, elm, ada, cy):
    assert house_for(oak.pk, ada) == oak and houses_of(ada) == [oak]
    for house_id in (elm.pk, "nowhere"):
        with pytest.raises(NotFound):
            house_for(house_id, ada)


def test_somebody_new_is_invited_and_somebody_known_too(in_house, elm, ada, cy):
    for address in ("dee@oak.example", "CY@elm.example"):
        came = welcome_person(in_house, address, by=ada)
        assert came.invitation_link and not came.member and not came.sign_in_link
    assert role_of(cy) is None and not Agent.objects.filter(name="dee").exists()


@pytest.mark.parametrize("address", ["", "dee", "dee@", "a\0@oak.example", "\ud800@oak.example", "@"])
def test_a_person_has_an_address(in_house, ada, address):
    with pytest.raises(Invalid):
        welcome_person(in_house, address, by=ada)


def test_an_operator_adds_at_once_and_somebody_new_gets_a_link(in_house, ada, cy):
    ada.is_operator = True
    came = welcome_person(in_house, " Dee@Oak.example ", by=ada)
    assert (came.member.agent.name, came.member.role, bool(came.sign_in_link)) == ("Dee", "member", True)
    known = welcome_person(in_house, "CY@elm.example", by=ada)
    assert known.invitation_link and not known.member and role_of(cy) is None
    ada.cap = "rw"
    with pytest.raises(Forbidden):
        welcome_person(in_house, "ed@oak.example", by=ada)


def test_letter_case_makes_no_second_account(ada):
    assert Agent.objects.create_human("Zed", "ZED@oak.example").email == "zed@oak.example"
    with pytest.raises(IntegrityError, match="one_agent_per_address"), transaction.atomic():
        Agent.objects.create(kind="human", name="Zed", email="Zed@oak.example")


def test_no_arrival_without_an_owner(in_house, bo):
    before = Agent.objects.count()
    for welcome in (lambda: welcome_person(in_house, "x@y.z", by=bo), lambda: welcome_bot(in_house, "B", "pi", by=bo)):
        with pytest.raises(Forbidden):
            welcome()
    assert Agent.objects.count() == before


@pytest.mark.parametrize(("name", "runtime"), [("", "pi"), ("B", "cobol"), ("B", "")])
def test_a_bot_needs_a_name_and_a_known_runtime(in_house, ada, name, runtime):
    with pytest.raises(Invalid):
        welcome_bot(in_house, name, runtime, by=ada)


def test_somebody_is_renamed_and_an_empty_name_changes_nothing(ada):
    ada.rename(" Ada \n Lovelace ")
    ada.rename(" ")
    ada.refresh_from_db()
    assert ada.name == "Ada Lovelace"


def test_a_poor_password_is_not_kept(ada):
    for poor in ("short", "password1234"):
        with pytest.raises(Invalid):
            ada.choose_password(poor)
    ada.refresh_from_db()
    assert ada.check_password("correct horse battery staple")
