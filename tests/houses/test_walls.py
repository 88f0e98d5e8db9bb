"""Nobody sees or writes over the wall: row-level security, table by table."""

import pytest
from django.apps import apps
from django.db import ProgrammingError, transaction

from houses.audit import Audited
from houses.models import Agent, House, KeptAnswer, Member, Memory, Mutation, SignInLink, Tool
from houses.tenancy import as_agent, inside
from tests.houses.furniture import OURS, models, owned, owned_by_agents, rows_of_houses, sql

# Whatever is not of a house says why. A new model has to be in a house, or here.
GLOBAL = {
    Agent: "one person or bot may be in many houses; what they do there is seen there",
    SignInLink: "is made for an agent, before any house is entered; kept as a digest",
}
DJANGOS = {
    "auth": "the words of rights, r w x and none, which grants point to; groups are not used",
    "guardian": "grants of groups, which are not used; those of agents are `Grant`, in a house",
    "sites": "the name of this installation",
    "account": "addresses of people, before any house is entered",
    "socialaccount": "who somebody is elsewhere, before any house is entered",
    "mfa": "second factors of people, before any house is entered",
    "usersessions": "where somebody is signed in, before any house is entered",
    "contenttypes": "names of models",
    "sessions": "who is signed in, before any house is entered",
    "django_rq": "a page of the admin about queues; it has no table",
    "admin": "what operators did in the admin; they look everywhere",
}
# What is written to `mutations` and what is not. A new model has to be audited, or here.
NOT_AUDITED = {
    "SignInLink": "the agent it was made for is audited; it carries nothing else",
    "SecretDelivery": "is itself a log, as long as there are runs",
    "KeptAnswer": "an answer said twice changes nothing",
    "Mutation": "is the log",
    "Stream": "one is made for each thread, which is audited",
    "Outbox": "events on their way to their stream, which is a log",
    "Command": "each is told in its thread's stream, with how it ended",
    "Make": "each is told in its thread's stream, with how it ended",
    "Answer": "each is told in its thread's stream, with how it ended",
    "WaitingMessage": "that it waits, changes, goes to its run or is taken back is told in its thread's stream",
    "InboxEntry": "points to what is told in a thread's stream; that somebody read it is their own matter",
    "Spending": "counts up while a run goes on, and is told in its thread's stream when it ends",
    "Derivation": "is kept in git as well, with what it was made from",
    "Input": "is kept in git as well, with what was made from it",
}
# Nobody but the triggers writes to the log of mutations, in whatever house.
REFUSED = "row-level security|permission denied for table mutations"
EVERY = [pytest.param(model, id=model._meta.db_table) for model in owned()]


def test_every_model_is_of_a_house_or_says_why_not():
    assert {*models()} == {*owned(), *owned_by_agents(), *GLOBAL}
    assert {model._meta.app_label for model in apps.get_models()} <= {*OURS, *DJANGOS}


def test_every_model_is_audited_or_says_why_not():
    audited = {model for model in models() if any(isinstance(c, Audited) for c in model._meta.constraints)}
    assert {model.__name__ for model in {*models()} - audited} == {*NOT_AUDITED}
    assert len({*NOT_AUDITED} | {model.__name__ for model in audited}) == len(models())


def test_every_table_is_a_models(db):
    through = {field.m2m_db_table() for model in apps.get_models() for field in model._meta.local_many_to_many}
    known = (
        {model._meta.db_table for model in apps.get_models() if model._meta.managed} | through | {"django_migrations"}
    )
    there = sql("SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert {name for name, kind in there if kind in "rpvmf"} == known


@pytest.mark.parametrize("model", EVERY)
def test_the_policy_is_there_and_forced(db, model):
    table = model._meta.db_table
    (flags,) = sql("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", table)
    assert flags == (True, True)
    policies = sql(
        "SELECT policyname, cmd, qual, with_check FROM pg_policies WHERE tablename = %s AND permissive = 'PERMISSIVE'",
        table,
    )
    (whole,) = [policy for policy in policies if policy[1] == "ALL"]
    assert whole[0] == owned()[model].name
    assert whole[2] == whole[3] and f"({owned()[model].column} = NULLIF(current_setting('app.house_id'" in whole[2]


def test_reading_alone_is_wider_for_three_tables(db):
    wider = sql("SELECT tablename, cmd, with_check FROM pg_policies WHERE cmd <> 'ALL' ORDER BY 1")
    assert wider == [("houses", "SELECT", None), ("members", "SELECT", None), ("tools", "SELECT", None)]


@pytest.mark.parametrize("model", owned_by_agents())
def test_what_is_one_agents_is_forced_to_be(db, model):
    table, column = model._meta.db_table, owned_by_agents()[model].column
    (flags,) = sql("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", table)
    assert flags == (True, True)
    ((name, command, seen, written),) = sql(
        "SELECT policyname, cmd, qual, with_check FROM pg_policies WHERE tablename = %s", table
    )
    assert (name, command, seen) == (owned_by_agents()[model].name, "ALL", written)
    assert f"({column} = (NULLIF(current_setting('app.agent_id'" in seen


@pytest.mark.parametrize("model", EVERY)
def test_every_row_goes_with_its_house(db, model):
    if model is not House and not owned()[model].outlives:
        (edge,) = sql(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s AND contype = 'f'",
            owned()[model].name,
        )
        assert edge == ("FOREIGN KEY (house_id) REFERENCES houses(id) ON DELETE CASCADE",)


def test_outside_there_is_nothing(in_oak, in_elm):
    assert {model: rows_of_houses(model).count() for model in owned()} == dict.fromkeys(owned(), 0)


def test_inside_there_is_one_house_alone(in_oak, in_elm, oak):
    with inside(oak):
        for model in owned():
            house = "pk" if model is House else "house_id"
            assert set(rows_of_houses(model).values_list(house, flat=True)) == {oak.pk}, model


@pytest.mark.parametrize("model", EVERY)
def test_nothing_is_written_outside(db, oak, model):
    with pytest.raises(ProgrammingError, match=REFUSED):
        sql(f"INSERT INTO {model._meta.db_table} ({owned()[model].column}) VALUES (%s)", oak.pk)


@pytest.mark.parametrize("model", EVERY)
def test_nothing_is_written_next_door(oak, elm, model):
    with pytest.raises(ProgrammingError, match=REFUSED), inside(oak):
        sql(f"INSERT INTO {model._meta.db_table} ({owned()[model].column}) VALUES (%s)", elm.pk)


def test_nothing_is_carried_next_door(in_oak, oak, elm):
    for model, constraint in owned().items():
        with pytest.raises(ProgrammingError, match=REFUSED), inside(oak):
            sql(f"UPDATE {model._meta.db_table} SET {constraint.column} = %s", elm.pk)


def test_nothing_next_door_is_changed_or_removed(in_oak, in_elm, oak, elm, cy):
    for model, constraint in owned().items():
        table, mine = model._meta.db_table, constraint.column
        with inside(oak):
            for change in (f"UPDATE {table} SET {mine} = {mine}", f"DELETE FROM {table}"):
                if model is Mutation:
                    with pytest.raises(ProgrammingError, match=REFUSED), transaction.atomic():
                        sql(f"{change} WHERE {mine} = %s", elm.pk)
                else:
                    assert sql(f"{change} WHERE {mine} = %s", elm.pk) == 0
    with inside(elm):
        assert all(rows_of_houses(model).exists() for model in owned())


def test_tools_of_the_installation_are_seen_everywhere_and_changed_nowhere(in_oak, in_elm, oak):
    with inside(oak):
        assert {tool.house_id for tool in Tool.objects.all()} == {None, oak.pk}
        assert Tool.objects.filter(house=None).update(name="mine") == 0
        assert Tool.objects.filter(house=None).delete()[0] == 0
        with pytest.raises(ProgrammingError, match=REFUSED), transaction.atomic():
            sql("INSERT INTO tools (house_id, name, kind) VALUES (NULL, 'mine', 'http')")
        with pytest.raises(ProgrammingError, match=REFUSED), transaction.atomic():
            sql("UPDATE tools SET house_id = NULL")


def test_what_one_agent_alone_remembers_is_theirs_in_the_same_house_too(oak, ada, bo):
    with inside(oak, bo):
        hers = Memory.objects.create(house=oak, agent=bo, kind="fact", text="a surprise")
    for somebody in (ada, None):
        with inside(oak, somebody):
            assert sql("SELECT text FROM memories") == []
            assert sql("UPDATE memories SET agent_id = NULL") == sql("DELETE FROM memories") == 0
            with pytest.raises(ProgrammingError, match=REFUSED), transaction.atomic():
                Memory.objects.create(house=oak, agent=bo, kind="fact", text="what Bo should think")
    with inside(oak, bo):
        assert Memory.objects.get() == hers


def test_what_was_answered_is_kept_for_whoever_asked(in_oak, in_elm, oak, ada, bo):
    for place in (inside(oak), inside(oak, bo), as_agent(bo)):
        with place:
            assert sql("SELECT key FROM kept_answers") == []
            assert sql("UPDATE kept_answers SET status = 200") == sql("DELETE FROM kept_answers") == 0
            with pytest.raises(ProgrammingError, match=REFUSED), transaction.atomic():
                KeptAnswer.objects.create(agent=ada, key="forged", asked="a digest")
    with as_agent(ada):
        assert sql("SELECT key FROM kept_answers") == [("key of Ada",)]


def test_an_unknown_house_is_an_empty_one(in_oak):
    for nowhere in ("nowhere", "", "%", "' OR true --"):
        with inside(nowhere):
            assert not any(rows_of_houses(model).exists() for model in owned())


def test_one_sees_ones_own_memberships_and_their_houses(oak, elm, bo, cy):
    with inside(elm):
        Member.objects.create(house=elm, agent=bo, role="member")
    with as_agent(bo):
        assert set(House.objects.all()) == {oak, elm}
        assert {member.agent_id for member in Member.objects.all()} == {bo.pk}
        assert House.objects.update(name="mine") == Member.objects.update(role="owner") == 0
    with inside(oak, bo):
        assert set(House.objects.all()) == {oak} == {member.house for member in Member.objects.all()}


def test_the_owner_of_the_tables_sees_no_more(committed, running, in_oak, in_elm, oak):
    import psycopg

    with psycopg.connect(running.urls.owner) as owner:
        for model in owned():
            whose = owned()[model].column
            seen = owner.execute(f"SELECT count(*) FROM {model._meta.db_table} WHERE {whose} IS NOT NULL").fetchone()
            assert seen == (0,), model
        owner.execute("SELECT set_config('app.house_id', %s, true)", [oak.pk])
        assert owner.execute("SELECT id FROM houses").fetchall() == [(oak.pk,)]


def test_a_plain_foreign_key_would_look_through_the_wall(committed, running, in_oak, in_elm, oak):
    """Why every edge carries the house: the database checks foreign keys past its own policies."""
    import psycopg

    from sandboxes.models import Environment

    with psycopg.connect(running.urls.owner) as owner:
        owner.execute("CREATE TABLE trap (environment_id text REFERENCES environments (id))")
        owner.execute("SELECT set_config('app.house_id', %s, true)", [oak.pk])
        owner.execute("INSERT INTO trap VALUES (%s)", [in_elm[Environment].pk])
        owner.rollback()


def test_the_operator_sees_every_house(committed, running, in_oak, in_elm):
    import psycopg

    with psycopg.connect(running.urls.operator) as operator:
        assert operator.execute("SELECT count(*) FROM houses").fetchone() == (2,)


def test_a_house_takes_everything_with_it_but_the_log(in_oak, in_elm, oak, elm):
    with inside(oak):
        sql("DELETE FROM commands")  # somebody's name is on them
        sql("DELETE FROM houses")
        assert {model for model in owned() if rows_of_houses(model).exists()} == {Mutation}
        assert Mutation.objects.filter(table_name="houses", action="delete", row_id=oak.pk).count() == 1
    with inside(elm):
        assert all(rows_of_houses(model).exists() for model in owned())


def test_columns_are_what_models_call_them():
    for model, constraint in owned().items():
        columns = {field.column for field in model._meta.concrete_fields}
        assert constraint.column == ("id" if model is House else "house_id") in columns


def test_a_refused_row_spoils_its_block_alone(oak, elm):
    with inside(oak):
        with pytest.raises(ProgrammingError), transaction.atomic():
            Member.objects.create(house=elm, agent_id=Agent.objects.first().pk, role="member")
        assert House.objects.get() == oak
