"""What auditing costs a bulk write, as the app role, with a real fsync: `python -m tests.bench.mutations [rows]`.

Each round makes, changes and deletes the same rows twice, with the triggers and without, taking turns at going first.
"""

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable

import django
import psycopg

ROUNDS = 5
Taken = dict[tuple[str, bool], list[float]]


def main(count: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "arbe.settings"
    from tests import services

    ground = services.start()
    try:
        with psycopg.connect(ground.postgres.url, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM RESET fsync")
            admin.execute("SELECT pg_reload_conf()")
        os.environ |= {
            "ARBE_DATABASE_URL": ground.urls.app,
            "ARBE_OWNER_DATABASE_URL": ground.urls.owner,
            "ARBE_OPERATOR_DATABASE_URL": ground.urls.operator,
        }
        with tempfile.TemporaryDirectory() as var:
            os.environ["ARBE_VAR"] = var
            django.setup()
            from django.core.management import call_command

            call_command("migrate", database="owner", verbosity=0)
            with psycopg.connect(ground.urls.owner, autocommit=True) as owner:
                _told(_measured(owner, count), count)
    finally:
        from django.db import connections

        connections.close_all()
        ground.stop()


def _measured(owner: psycopg.Connection, count: int) -> Taken:
    from houses.models import Agent, House

    ada = Agent.objects.create_human("Ada", "ada@oak.example")
    oak = House.objects.found("Oak", by=ada)
    people = Agent.objects.bulk_create(
        [Agent(pk=uuid.uuid4(), kind="human", name=f"Person {n}", email=f"{n}@oak.example") for n in range(count)],
        batch_size=1000,
    )
    taken: Taken = {}
    for table, prepare in (("threads", _threads), ("members", _members), ("grants", _grants)):
        deeds = prepare(oak, ada, people)
        for turn in range(ROUNDS + 1):
            for audited in (True, False) if turn % 2 else (False, True):
                _say_triggers(owner, table, audited)
                for name, act in deeds.items():
                    began = time.perf_counter()
                    act()
                    if turn:  # the first round warms
                        taken.setdefault((name, audited), []).append(time.perf_counter() - began)
            owner.execute("VACUUM " + table)
        _say_triggers(owner, table, True)
    return taken


Deeds = dict[str, Callable[[], object]]


def _threads(oak, ada, people) -> Deeds:
    from houses.tenancy import inside
    from streams.models import Stream
    from threads.models import Thread

    with inside(oak, ada):
        Stream.objects.bulk_create([Stream(house=oak) for _ in people])
        streams = list(Stream.objects.all())

    def make() -> None:
        with inside(oak, ada):
            Thread.objects.bulk_create(
                [Thread(house_id=oak.pk, stream_id=stream.pk, name=f"thread {n}") for n, stream in enumerate(streams)]
            )

    def change() -> None:
        with inside(oak, ada):
            Thread.objects.update(name="soup")

    def delete() -> None:
        with inside(oak, ada):
            Thread.objects.all()._raw_delete("default")

    return {"make threads": make, "change threads": change, "delete threads": delete}


def _members(oak, ada, people) -> Deeds:
    from houses.models import Member
    from houses.tenancy import inside

    def make() -> None:
        with inside(oak, ada):
            Member.objects.bulk_create([Member(house=oak, agent=one, role="member") for one in people])

    def change() -> None:
        with inside(oak, ada):
            Member.objects.exclude(agent=ada).update(role="owner")

    def delete() -> None:
        with inside(oak, ada):
            Member.objects.exclude(agent=ada)._raw_delete("default")

    return {"make members": make, "change members": change, "delete members": delete}


def _grants(oak, ada, people) -> Deeds:
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType

    from houses.models import Grant, Member
    from houses.tenancy import inside

    kind = ContentType.objects.get_for_model(type(oak))
    reads = Permission.objects.get(content_type=kind, codename="r")
    writes = Permission.objects.get(content_type=kind, codename="w")
    with inside(oak, ada):
        Member.objects.bulk_create([Member(house=oak, agent=one, role="member") for one in people])

    def make() -> None:
        with inside(oak, ada):
            Grant.objects.bulk_create(
                [Grant(user=one, content_type=kind, object_pk=oak.pk, permission=reads) for one in people]
            )

    def change() -> None:
        with inside(oak, ada):
            Grant.objects.update(permission=writes)

    def delete() -> None:
        with inside(oak, ada):
            Grant.objects.all()._raw_delete("default")

    return {"make grants": make, "change grants": change, "delete grants": delete}


def _say_triggers(owner: psycopg.Connection, table: str, audited: bool) -> None:
    word = "ENABLE" if audited else "DISABLE"
    for action in ("insert", "update", "delete"):
        owner.execute(f"ALTER TABLE {table} {word} TRIGGER {table}_are_audited_{action}")


def _told(taken: Taken, count: int) -> None:
    for name in dict.fromkeys(name for name, _ in taken):
        on, off = (statistics.median(taken[name, audited]) * 1000 for audited in (True, False))
        each = statistics.median(b / a - 1 for a, b in zip(taken[name, False], taken[name, True], strict=True))
        print(
            f"{name}: {off:.0f} ms, audited {on:.0f} ms, {on / off - 1:+.1%} (round by round {each:+.1%}), {count} rows"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
