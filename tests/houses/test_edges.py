"""No edge leaves its house: the database refuses each one by name."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection

from houses.constraints import PrivateTo, SameHouse
from houses.models import Agent
from houses.tenancy import inside
from tests.houses.furniture import column, edges, models, owned, sql

EVERY = [pytest.param(model, edge, id=edge.name) for model, edge in edges()]


def over_there(edge):
    """The model at the other end."""
    return apps.get_model(edge.to)


@pytest.mark.parametrize(("model", "edge"), EVERY)
def test_the_database_refuses_an_edge_to_next_door(in_oak, in_elm, oak, model, edge):
    here = column(model, edge.fields[1])
    there = getattr(in_elm[over_there(edge)], over_there(edge)._meta.get_field(edge.to_fields[1]).attname)
    # Nobody writes another's private row: whoever is over there says it is theirs.
    private = here in {constraint.column for constraint in model._meta.constraints if isinstance(constraint, PrivateTo)}
    which = "true" if private else f"{here} IS NOT NULL"
    with pytest.raises(IntegrityError, match=f'"{edge.name}"'), inside(oak, there if private else None):
        sql(f"UPDATE {model._meta.db_table} SET {here} = %s WHERE {which}", there)


@pytest.mark.parametrize(("model", "edge"), EVERY)
def test_the_edge_holds_at_once_and_for_rows_that_were_there(db, model, edge):
    (held,) = sql(
        "SELECT contype::text, condeferrable, convalidated, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND conname = %s",
        model._meta.db_table,
        edge.name,
    )
    assert held[:3] == ("f", False, True)
    assert held[3].startswith(f"FOREIGN KEY (house_id, {column(model, edge.fields[1])})")


def test_no_relation_between_rows_of_a_house_is_without_its_edge():
    kept = {(model, edge.fields[1]) for model, edge in edges()}
    relations = [
        (model, field.name)
        for model in owned()
        for field in model._meta.concrete_fields
        if field.is_relation and field.related_model in owned() and field.name != "house"
    ]
    assert {relation for relation in relations if relation not in kept} == set()


# What a grant's row says in guardian's words: which bit, on which kind of scope.
WORDS = {"auth_permission", "django_content_type"}


def test_every_other_foreign_key_leads_to_an_agent_the_house_or_a_word(db):
    tables = [model._meta.db_table for model in models()]
    found = sql(
        "SELECT conname, confrelid::regclass::text FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid::regclass::text = ANY (%s)",
        tables,
    )
    same_house = {edge.name for _, edge in edges()}
    assert {table for name, table in found if name not in same_house} == {"agents", "houses", *WORDS}
    for name, table in found:
        assert table not in WORDS or name.startswith("grants_"), name


def test_nothing_of_it_waits_for_the_end_of_a_transaction(db):
    """What waits would be checked outside of the block that did it. Edges to agents are Django's own and may."""
    waiting = sql(
        "SELECT conname FROM pg_constraint WHERE condeferrable AND NOT confrelid::regclass::text = ANY (%s) "
        "AND conrelid::regclass::text = ANY (%s)",
        ["agents", *WORDS],
        [model._meta.db_table for model in models()],
    )
    assert waiting == []


def test_names_of_constraints_are_sentences():
    named = [constraint.name for model in models() for constraint in model._meta.constraints]
    assert len(set(named)) == len(named)
    assert [name for name in named if "_" not in name or len(name) > 63] == []


def test_a_sandbox_that_goes_leaves_its_threads_without_one(in_oak, oak):
    from sandboxes.models import Sandbox
    from threads.models import Command, Thread

    with inside(oak):
        sql("DELETE FROM sandboxes WHERE id = %s", in_oak[Sandbox].pk)
        thread, command = Thread.objects.get(pk=in_oak[Thread].pk), Command.objects.get(pk=in_oak[Command].pk)
        assert (thread.sandbox_id, thread.house_id) == (None, oak.pk)
        assert (command.sandbox_id, command.house_id) == (None, oak.pk)


def test_a_parent_takes_its_children_with_it(in_oak, oak):
    from threads.models import Command, Make, Thread

    with inside(oak):
        sql("DELETE FROM threads WHERE id = %s", in_oak[Thread].parent_thread_id)
        assert not any(model.objects.exists() for model in (Thread, Command, Make))


def test_a_recipe_that_is_in_use_stays(in_oak, oak):
    with pytest.raises(IntegrityError, match="environments"), inside(oak):
        sql("DELETE FROM environments")


def test_a_driving_bot_is_a_member(in_oak, oak):
    from threads.models import Thread

    stranger = Agent.objects.create_bot("Stranger", "pi")
    with pytest.raises(IntegrityError, match="a_driving_bot_is_a_member"), inside(oak):
        Thread.objects.filter(pk=in_oak[Thread].pk).update(agent=stranger)


def test_edges_say_the_same_to_django_and_to_the_database(db):
    for model in models():
        with connection.cursor() as cursor:
            there = set(connection.introspection.get_constraints(cursor, model._meta.db_table))
        named = {edge.name for edge in model._meta.constraints if isinstance(edge, SameHouse)}
        assert named <= there
