"""A house with one row of everything, and how to look at all tables at once."""

from datetime import timedelta

from django.apps import apps
from django.db import connection
from django.utils import timezone

from artifacts.models import Artifact, Derivation, Input, Repository
from houses.constraints import AgentOwned, HouseOwned, SameHouse
from houses.models import (
    ActivationPolicy,
    Agent,
    Bot,
    BoundAgent,
    BoundResource,
    Budget,
    Grant,
    House,
    Invitation,
    KeptAnswer,
    Member,
    Memory,
    Mutation,
    PolicyResource,
    Resource,
    Secret,
    SecretBinding,
    SecretDelivery,
    Token,
    Tool,
)
from houses.tenancy import inside
from sandboxes.models import Environment, Sandbox
from streams.models import Outbox, RawStream, Stream
from threads.models import Answer, Command, InboxEntry, Make, Spending, Thread, WaitingMessage

OURS = ("houses", "streams", "artifacts", "sandboxes", "threads")


def models():
    return [model for model in apps.get_models() if model._meta.app_label in OURS]


def owned():
    """Models whose rows belong to a house, with the constraint that says so."""
    return {m: c for m in models() for c in m._meta.constraints if isinstance(c, HouseOwned)}


def owned_by_agents():
    """Models whose rows belong to one agent, of whatever house, with the constraint that says so."""
    return {m: c for m in models() for c in m._meta.constraints if isinstance(c, AgentOwned)}


def rows_of_houses(model):
    """The rows that some house owns: the tools of the installation belong to none and are everybody's to see."""
    return model._default_manager.all() if model is House else model._default_manager.exclude(house_id=None)


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
    environment = Environment.objects.create(name="plain", config={"repository": repository.pk}, **here)
    sandbox = Sandbox.objects.create(environment=environment, provider="local", **here)
    stream = Stream.objects.create(**here)
    raw = RawStream.objects.create(name=f"raw.{house.pk}", content_type="text/plain", created_by=by, **here)
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
    rows = [house, member, secret, token, repository, environment, sandbox, stream, raw, thread, outbox, make]
    rows += [*_agents_at_work(house, by, bot, thread, environment), command]
    records = _records(house, by, bot, secret, thread)
    (resource,) = [row for row in records if isinstance(row, Resource)]
    pointed = {"repository": repository, "path": f"x of {house}", "commit": "0" * 40, "resource": resource}
    artifact = Artifact.objects.create(kind="file", label=f"x of {house}", made_by=by, **pointed, **here)
    return {type(row): row for row in [*rows, made, read, artifact, *records]}


def _agents_at_work(house, by, bot, thread, environment):
    """A bot as it is set up, what it may spend, what it did and what it cost, and what was said to it meanwhile."""
    here, asked = {"house": house}, {"thread": thread, "agent": bot, "asked_by": by}
    settings = Bot.objects.create(agent=bot, model="fake", address=f"https://{house}.example/v1", **here)
    run = Command.objects.create(
        thread=thread, agent=by, bot=bot, recipe={}, text="x", environment=environment, status="completed", **here
    )
    return [
        settings,
        Budget.objects.create(agent=bot, month_tokens=1000, **here),
        run,
        Spending.objects.create(run=run.pk, model="fake", **asked, **here),
        Answer.objects.create(text=f"what is {house}?", status="completed", **asked, **here),
        WaitingMessage.objects.create(thread=thread, agent=by, text=f"and then {house}", **here),
        InboxEntry.objects.create(agent=by, thread=thread, kind="mention", about=run.pk, text=f"{house}?", **here),
    ]


def _records(house, by, bot, secret, thread):
    """What a house knows of the world outside, who may what, and what was written down about it."""
    here, soon = {"house": house}, timezone.now() + timedelta(days=1)
    resource = Resource.objects.create(name="Forge", kind="github-repo", external_id=f"forge of {house}", **here)
    tool = Tool.objects.create(name="ring", kind="http", config={"url": f"https://{house}.example"}, **here)
    before = Memory.objects.create(kind="fact", subject=f"{house}", text=f"{house} was small", created_by=by, **here)
    memory = Memory.objects.create(kind="fact", text=f"{house} is big", supersedes=before, created_by=by, **here)
    Memory.objects.create(kind="fact", text=f"what {by} alone knows", agent=by, created_by=by, **here)
    binding = SecretBinding.objects.create(name="forge", secret=secret, **here)
    policy = ActivationPolicy.objects.create(agent=bot, name="nightly", trigger="cron", tool_ids=[tool.pk], **here)
    Grant.objects.replace(bot, thread, "r")
    return [
        resource,
        tool,
        memory,
        binding,
        BoundResource.objects.create(binding=binding, resource=resource, **here),
        BoundAgent.objects.create(binding=binding, agent=bot, **here),
        policy,
        PolicyResource.objects.create(policy=policy, resource=resource, **here),
        Grant.objects.get(user=bot, object_pk=thread.pk),
        Invitation.objects.create(digest=f"digest of {house}", invited_by=by, expires_at=soon, **here),
        SecretDelivery.objects.create(name=secret.name, agent=bot, thread_id=thread.pk, command_id=thread.pk, **here),
        KeptAnswer.objects.create(agent=by, key=f"key of {by}", asked="a digest"),
        Mutation.objects.order_by("id").first(),
    ]
