"""Nobody sees or writes over the wall: row-level security, table by table."""

import pytest
from django.apps import apps
from django.db import ProgrammingError, transaction

from houses.models import Agent, House, Member, SignInLink
from houses.tenancy import inside
from tests.houses.furniture import OURS, column, models, owned, sql

# Whatever is not of a house says why. A new model has to be in a house, or here.
GLOBAL = {
    Agent: "one person or bot may be in many houses; what they do there is seen there",
    SignInLink: "is made for an agent, before any house is entered; kept as a digest",
}
DJANGOS = {
    "auth": "Django's groups and permissions, which arbe does not use",
    "contenttypes": "names of models",
    "sessions": "who is signed in, before any house is entered",
    "django_rq": "a page of the admin about queues; it has no table",
    "admin": "what operators did in the admin; they look everywhere",
}
EVERY = [pytest.param(model, id=model._meta.db_table) for model in owned()]


def test_every_model_is_of_a_house_or_says_why_not():
    assert {*models()} == {*owned(), *GLOBAL}
    assert {model._meta.app_label for model in apps.get_models()} <= {*OURS, *DJANGOS}


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
    policies = sql("SELECT policyname, cmd, qual, with_check FROM pg_policies WHERE tablename = %s", table)
    (whole,) = [policy for policy in policies if policy[1] == "ALL"]
    assert whole[0] == owned()[model].name
    assert whole[2] == whole[3] and f"({owned()[model].column} = NULLIF(current_setting('app.house_id'" in whole[2]


def test_reading_alone_is_wider_for_two_tables(db):
    wider = sql("SELECT tablename, cmd, with_check FROM pg_policies WHERE cmd <> 'ALL' ORDER BY 1")
    assert wider == [("houses", "SELECT", None), ("members", "SELECT", None)]


@pytest.mark.parametrize("model", EVERY)
def test_every_row_goes_with_its_house(db, model):
    if model is not House:
        (edge,) = sql(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s AND contype = 'f'",
            owned()[model].name,
        )
        assert edge == ("FOREIGN KEY (house_id) REFERENCES houses(id) ON DELETE CASCADE",)


def test_outside_there_is_nothing(in_oak, in_elm):
    assert {model: model._default_manager.count() for model in owned()} == dict.fromkeys(owned(), 0)


def test_inside_there_is_one_house_alone(in_oak, in_elm, oak):
    with inside(oak):
        for model in owned():
            house = "pk" if model is House else "house_id"
            assert set(model._default_manager.values_list(house, flat=True)) == {oak.pk}, model


@pytest.mark.parametrize("model", EVERY)
def test_nothing_is_written_outside(db, oak, model):
    with pytest.raises(ProgrammingError, match="row-level security"):
        sql(f"INSERT INTO {model._meta.db_table} ({owned()[model].column}) VALUES (%s)", oak.pk)


@pytest.mark.parametrize("model", EVERY)
def test_nothing_is_written_next_door(oak, elm, model):
    with pytest.raises(ProgrammingError, match="row-level security"), inside(oak):
        sql(f"INSERT INTO {model._meta.db_table} ({owned()[model].column}) VALUES (%s)", elm.pk)


def test_nothing_is_carried_next_door(in_oak, oak, elm):
    for model, constraint in owned().items():
        with pytest.raises(ProgrammingError, match="row-level security"), inside(oak):
            sql(f"UPDATE {model._meta.db_table} SET {constraint.column} = %s", elm.pk)


def test_nothing_next_door_is_changed_or_removed(in_oak, in_elm, oak, elm, cy):
    for model, constraint in owned().items():
        table, mine = model._meta.db_table, constraint.column
        with inside(oak):
            assert sql(f"UPDATE {table} SET {mine} = {mine} WHERE {mine} = %s", elm.pk) == 0
            assert sql(f"DELETE FROM {table} WHERE {mine} = %s", elm.pk) == 0
    with inside(elm):
        assert all(model._default_manager.exists() for model in owned())


def test_an_unknown_house_is_an_empty_one(in_oak):
    for nowhere in ("nowhere", "", "%", "' OR true --"):
        with inside(nowhere):
            assert not any(model._default_manager.exists() for model in owned())


def test_one_sees_ones_own_memberships_and_their_houses(oak, elm, bo, cy):
    from houses.tenancy import as_agent

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
            assert owner.execute(f"SELECT count(*) FROM {model._meta.db_table}").fetchone() == (0,)
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


def test_a_house_takes_everything_with_it(in_oak, in_elm, oak, elm):
    with inside(oak):
        sql("DELETE FROM commands")  # somebody's name is on them
        sql("DELETE FROM houses")
        assert not any(model._default_manager.exists() for model in owned())
    with inside(elm):
        assert all(model._default_manager.exists() for model in owned())


def test_columns_are_what_models_call_them():
    assert all(column(model, "house") == "house_id" for model in owned() if model is not House)


def test_a_refused_row_spoils_its_block_alone(oak, elm):
    with inside(oak):
        with pytest.raises(ProgrammingError), transaction.atomic():
            Member.objects.create(house=elm, agent_id=Agent.objects.first().pk, role="member")
        assert House.objects.get() == oak
