"""Rights: refusals that leave nothing, and lists that cost no more for being long."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from guardian.core import ObjectPermissionChecker
from guardian.shortcuts import assign_perm, get_objects_for_user, get_perms, get_users_with_perms, remove_perm

from artifacts.models import Repository
from houses.explaining import everybody, explain, lines
from houses.giving import give, withdraw
from houses.models import Agent, Grant, House, Member, Mutation, Resource, Tool
from houses.refusals import Forbidden, Invalid, NotFound
from houses.rights import may, permitted, require, right, rights
from houses.tenancy import inside
from houses.tools import RUN_COMMAND
from sandboxes.models import Environment, Sandbox
from threads.models import Thread


@pytest.fixture
def in_oak(oak, ada):
    with inside(oak, ada):
        yield oak


@pytest.fixture
def soup(in_oak, ada):
    return Thread.objects.open_in(in_oak, by=ada, name="Soup")


@pytest.fixture
def pot(soup, in_oak, ada):
    """A child of the thread."""
    return Thread.objects.open_in(in_oak, by=ada, name="Pot", parent=soup)


@pytest.fixture
def bench(in_oak, ada):
    return Environment.objects.create_in(in_oak, "Bench", by=ada, config={}, secret_bindings=[])


def capped(agent, cap):
    agent.cap = cap
    return agent


def count(do) -> int:
    with CaptureQueriesContext(connection) as caught:
        do()
    return len(caught)


def test_what_may_not_be_read_is_as_if_it_were_not_there(soup, bo, ada):
    give(bo, soup, "wx", by=ada)
    with pytest.raises(NotFound) as hidden:
        require(bo, "r", soup)
    assert str(hidden.value) == NotFound().detail
    for verb in (lambda: give(bo, soup, "rwx", by=capped(bo, "r")), lambda: withdraw(bo, soup, by=capped(bo, "r"))):
        with pytest.raises(NotFound) as refused:
            verb()
        assert str(refused.value) == str(hidden.value)


def test_what_may_be_read_says_what_it_takes(soup, bo, ada):
    give(bo, soup, "r", by=ada)
    with pytest.raises(Forbidden, match="that takes w"):
        require(bo, "w", soup)
    with pytest.raises(Forbidden, match="that takes x"):
        give(bo, soup, "rwx", by=bo)


def test_a_refused_grant_leaves_nothing(soup, in_oak, ada, bo, cy):
    give(bo, in_oak, "r", by=ada)
    before = list(Grant.objects.values_list("user", "object_pk", "permission__codename")), Mutation.objects.count()
    for refusal, verb in (
        (Forbidden, lambda: give(bo, soup, "rwx", by=bo)),
        (Forbidden, lambda: withdraw(bo, in_oak, by=bo)),
        (Forbidden, lambda: give(ada, in_oak, "rw", by=ada)),
        (Forbidden, lambda: give(ada, in_oak, "none", by=ada)),
        (Forbidden, lambda: give(bo, soup, "r", by=capped(ada, "rw"))),
        (Invalid, lambda: give(bo, soup, "", by=capped(ada, "rwx"))),
        (Invalid, lambda: give(bo, soup, "wr", by=ada)),
        (NotFound, lambda: give(cy, soup, "r", by=ada)),
    ):
        with pytest.raises(refusal):
            verb()
    after = list(Grant.objects.values_list("user", "object_pk", "permission__codename")), Mutation.objects.count()
    assert after == before


def test_a_grant_on_a_row_of_next_door_is_nothing_here(in_oak, ada, elm, cy):
    with inside(elm, cy):
        theirs = Thread.objects.open_in(elm, by=cy, name="Theirs")
    for row in (theirs, elm):
        assert not may(ada, "r", row)
    with pytest.raises(NotFound):
        give(ada, theirs, "rwx", by=ada)


def test_what_was_granted_goes_with_the_thread_and_with_the_member(soup, pot, in_oak, ada, bo):
    give(bo, soup, "r", by=ada)
    give(bo, in_oak, "r", by=ada)
    give(ada, pot, "r", by=ada)
    Thread.objects.filter(pk=soup.pk).delete()
    assert set(Grant.objects.values_list("object_pk", flat=True)) == {in_oak.pk}
    Member.objects.of(bo).leave(by=bo)
    assert not Grant.objects.exists()
    in_oak.admit(bo, by=ada)
    assert right(bo, in_oak).bits == "rw"


def test_a_sentence_says_where_it_comes_from(soup, pot, in_oak, ada, bo, scribe):
    assert explain(bo, "w", pot) == "yes: rw as member of this house, where nothing else is granted."
    assert explain(bo, "x", Tool.objects.get(pk=RUN_COMMAND)).startswith("yes: rwx as member")
    give(bo, soup, "r", by=ada)
    assert explain(bo, "w", pot).startswith("no: r from thread “Soup”, granted by Ada on ")
    give(bo, in_oak, "none", by=ada)
    give(scribe, in_oak, "rx", by=ada)
    assert explain(scribe, "x", pot).startswith("yes: rx from house “Oak”, granted by Ada on ")
    assert explain(capped(scribe, "r"), "x", pot) == "no: the token that asks may only r."
    assert "Soup" not in explain(bo, "x", pot, to=scribe) or may(scribe, "r", soup)


def test_a_thread_that_the_reader_may_not_see_is_not_named(soup, pot, ada, bo, scribe):
    give(scribe, soup, "r", by=ada)
    give(bo, soup, "none", by=ada)
    give(bo, pot, "r", by=ada)
    assert explain(scribe, "r", pot, to=bo).startswith("yes: r from a thread you cannot see, granted by Ada")
    assert "Soup" not in str(lines(pot, [ada, bo, scribe], to=bo))


def test_whoever_was_shut_out_has_nothing(soup, in_oak, ada, bo):
    give(bo, soup, "rwx", by=ada)
    bo.deactivate()
    assert rights(bo, [soup])[soup.pk].bits == "" and everybody(soup, [bo])[bo.pk].bits == ""
    assert not permitted(Thread.objects.all(), bo).exists()


def test_a_thousand_threads_and_a_thousand_members_cost_what_one_does(soup, in_oak, ada, bo):
    give(bo, soup, "r", by=ada)
    give(bo, in_oak, "rwx", by=ada)
    many = [Thread(house=in_oak, stream_id=f"{n}", parent_thread=soup if n % 2 else None) for n in range(1000)]
    Thread.objects.bulk_create(many)
    threads = list(Thread.objects.all())
    one, all_of_them = count(lambda: rights(bo, [soup])), count(lambda: rights(bo, threads))
    assert one == all_of_them == 2
    assert count(lambda: list(permitted(Thread.objects.all(), bo))) <= 3
    Agent.objects.bulk_create([Agent(kind="human", name=f"{n}", email=f"{n}@x.example") for n in range(1000)])
    agents = list(Agent.objects.filter(email__endswith="@x.example"))
    Member.objects.bulk_create([Member(house=in_oak, agent=agent, role="member") for agent in agents])
    give(agents[0], soup, "rw", by=ada)
    assert count(lambda: everybody(soup, [bo])) == count(lambda: everybody(soup, agents)) == 2
    pot = threads[-1]
    few, whole = count(lambda: lines(pot, agents[:1], to=bo)), count(lambda: lines(pot, agents, to=bo))
    assert whole == few


# Verbs


def test_recipes_are_for_whoever_manages_the_house(bench, in_oak, ada, bo):
    def verbs(by):
        return (
            lambda: Environment.objects.create_in(in_oak, "x", by=by, config={}, secret_bindings=[]),
            lambda: bench.change(name="Desk", config={}, secret_bindings=[], by=by),
            lambda: bench.make_default(by=by),
        )

    before = (Environment.objects.count(), Repository.objects.count())
    for verb in (*verbs(bo), *verbs(capped(ada, "rw"))):
        with pytest.raises(Forbidden):
            verb()
    assert (Environment.objects.count(), Repository.objects.count()) == before
    give(bo, in_oak, "rwx", by=capped(ada, "rwx"))
    for verb in verbs(bo):
        verb()
    assert Environment.objects.get(pk=bench.pk).name == "Desk"


def test_a_machine_goes_away_for_whoever_manages_the_house(bench, ada, bo):
    machine = Sandbox.objects.born(bench)
    for by in (bo, capped(ada, "rw")):
        with pytest.raises(Forbidden):
            machine.dismiss(by=by)
    assert Sandbox.objects.get(pk=machine.pk).status == "pending"


def test_files_are_written_by_whoever_writes_in_the_house(bench, in_oak, ada, bo):
    repository = bench.repository
    head = repository.write("a.txt", b"1\n", by=bo)
    give(bo, in_oak, "r", by=ada)

    def verbs(by):
        return (
            lambda: repository.write("a.txt", b"2\n", by=by),
            lambda: repository.remove("a.txt", by=by),
            lambda: Repository.objects.create_in(in_oak, "more", by=by),
        )

    for verb in (*verbs(bo), *verbs(capped(ada, "r"))):
        with pytest.raises(Forbidden):
            verb()
    assert repository.head == head and Repository.objects.count() == 1
    assert [one.name for one in repository.folder.parent.iterdir()] == [repository.folder.name]


def test_who_oversees_passes_and_only_that_instance(soup, in_oak, cy):
    overseer = Agent.objects.get(pk=cy.pk)
    overseer.oversees = True
    assert right(overseer, soup).bits == "rwx" and explain(overseer, "x", soup).startswith("yes: ")
    assert permitted(Thread.objects.all(), overseer).count() == 1
    assert right(cy, soup).bits == ""


# Guardian's own words


def test_guardians_shortcuts_speak_of_our_grants(soup, in_oak, ada, bo):
    assign_perm("r", bo, soup)
    row = Grant.objects.get()
    assert (row.house_id, row.granted_by, row.user, row.object_pk) == (in_oak.pk, ada, bo, soup.pk)
    assert row.granted_at is not None and right(bo, soup).by == ada.pk
    assert list(get_perms(bo, soup)) == ["r"] and right(bo, soup).bits == "r"
    assert ObjectPermissionChecker(bo).has_perm("r", soup) and not ObjectPermissionChecker(bo).has_perm("w", soup)
    assert list(get_objects_for_user(bo, "threads.r", accept_global_perms=False)) == [soup]
    assert list(get_users_with_perms(soup, with_group_users=False)) == [bo]
    remove_perm("r", bo, soup)
    assert not Grant.objects.exists() and right(bo, soup).bits == "rw"


def test_guardian_sees_nothing_of_next_door(soup, in_oak, ada, bo, elm, cy):
    assign_perm("r", bo, soup)
    with inside(elm, cy):
        assert not Grant.objects.exists() and list(get_perms(bo, soup)) == []
        theirs = Resource.objects.create(house=elm, name="x", kind="x", external_id="1")
        with pytest.raises(IntegrityError, match="a_grant_is_a_members"), transaction.atomic():
            assign_perm("r", bo, theirs)


def test_a_house_of_ones_own_elsewhere_is_not_within_reach(in_oak, ada, bo):
    second = House.objects.found("Second", by=ada)
    with inside(in_oak, ada):
        assert right(ada, second).bits == "" and right(ada, in_oak).bits == "rwx"
