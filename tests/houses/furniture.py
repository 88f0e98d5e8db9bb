"""A house with one row of everything, and how to look at all tables at once."""

from datetime import timedelta

from django.apps import apps
from django.db import connection
from django.utils import timezone

from artifacts.models import Derivation, Input, Repository
from houses.constraints import HouseOwned, SameHouse
from houses.models import Agent, House, Member, Secret, Token
from houses.tenancy import inside
from sandboxes.models import Environment, Sandbox
from streams.models import Outbox, Stream
from threads.models import Command, Make, Thread

OURS = ("houses", "streams", "artifacts", "sandboxes", "threads")


def models():
    return [model for model in apps.get_models() if model._meta.app_label in OURS]


def owned():
    """Models whose rows belong to a house, with the constraint that says so."""
    return {m: c for m in models() for c in m._meta.constraints if isinstance(c, HouseOwned)}


def edges():
    """Every edge between rows of a house."""
    return [(m, c) for m in models() for c in m._meta.constraints if isinstance(c, SameHouse)]


def column(model, field):
    return model._meta.get_field(field).column


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def furnish(house: House, by: Agent) -> dict[type, object]:
    """One row of everything in that house, by model; nothing here happened, the rows alone are wanted."""
    with inside(house, by):
        return _furnish(house, by)


def _furnish(house, by):
    bot = Agent.objects.create_bot(f"Bot of {house}", "pi")
    here = {"house": house}
    member = Member.objects.create(agent=bot, role="member", **here)
    secret = Secret.objects.put("API_KEY", f"the value of {house}", by=by)
    token, _ = Token.objects.mint(bot, "for tests", by=by, expires_at=timezone.now() + timedelta(days=1))
    repository = Repository.objects.create(name="work", **here)
    environment = Environment.objects.create(name="plain", **here)
    sandbox = Sandbox.objects.create(environment=environment, provider="local", **here)
    stream = Stream.objects.create(**here)
    parent = Thread.objects.create(stream_id=f"parent {house}", **here)
    driven = {"agent": bot, "status": "idle", "parent_thread": parent, "environment": environment, "sandbox": sandbox}
    thread = Thread.objects.create(stream_id=stream.pk, **driven, **here)
    outbox = Outbox.objects.create(
        stream=stream, position=ord(house.name[0]), author=by, kind="message", payload={}, **here
    )
    make = Make.objects.create(thread=thread, repository=repository, agent=by, target=f"x of {house}", **here)
    command = Command.objects.create(
        thread=thread, agent=by, make=make, text="true", environment=environment, sandbox=sandbox, **here
    )
    made = Derivation.objects.create(
        repository=repository,
        path=f"x of {house}",
        oid="0" * 40,
        commit="0" * 40,
        recipe={},
        recipe_oid="0" * 40,
        **here,
    )
    read = Input.objects.create(
        repository=repository, derivation=made, path=f"y of {house}", oid="0" * 40, how="observed", **here
    )
    rows = [house, member, secret, token, repository, environment, sandbox, stream, thread, outbox, make, command]
    return {type(row): row for row in [*rows, made, read]}
