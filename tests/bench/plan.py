"""A plan over many targets, as the app role under row-level security: `python -m tests.bench.plan [targets]`."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import django


def main(count: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "arbe.settings"
    from tests import services

    ground = services.start()
    try:
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
            _measure(count)
    finally:
        from django.db import connections

        connections.close_all()
        ground.stop()


def _measure(count: int) -> None:
    from artifacts.models import Derivation, Repository
    from houses.models import Agent, House
    from houses.tenancy import inside

    ada = Agent.objects.create_human("Ada", "ada@oak.example")
    oak = House.objects.found("Oak", by=ada)
    with inside(oak, ada):
        repository = Repository.objects.create_in(oak, "bench", by=ada)
        _fill(repository, ada, count)
        repository.stale()
        rows = Derivation.objects.of(repository).count()
        _told(f"record is done; {rows} targets; plan of everything, nothing changed", repository.plan, 50)
        _told("plan of one target, nothing changed", lambda: repository.plan("out/7"), 50)
        _told("the same, comparing environments too", lambda: repository.plan("out/7", {"env": "1", "other": "2"}), 50)
        number = iter(range(1000))

        def edit() -> None:
            repository.write("in/7", str(next(number)).encode(), by=ada)
            assert len(repository.plan("out/7").steps) == 1

        _told("write one input and plan what hangs on it", edit, 20)
        _told("everything, one input changed", repository.plan, 5)
        _told("why", lambda: repository.why("out/7"), 10)
        _told("stale", repository.stale, 10)


def _fill(repository, by, count: int) -> None:
    from artifacts.derivations import Derivation, Input

    bare = repository.bare
    tree = bare.edit(
        repository.tree, {f"{kind}/{n}": f"{kind}{n}".encode() for n in range(count) for kind in ("in", "out")}
    )
    landing = repository.land(repository.tree, tree, by=by, message="fill")
    oids = bare.oids(tree, [f"{kind}/{n}" for n in range(count) for kind in ("in", "out")])
    shared = {"house_id": repository.house_id, "repository": repository}
    rows = [
        Derivation(
            **shared,
            path=f"out/{n}",
            oid=oids[f"out/{n}"],
            commit=landing.commit,
            recipe={"kind": "command", "command": f"make {n}", "environment": "env"},
            recipe_oid=f"{n:040}",
            environment="env",
            environment_digest="1",
            made_by=by,
        )
        for n in range(count)
    ]
    Derivation.objects.insert(rows)
    Input.objects.bulk_create(
        [
            Input(**shared, derivation=row, path=f"in/{n}", oid=oids[f"in/{n}"], how="observed")
            for n, row in enumerate(rows)
        ],
        batch_size=2000,
    )


def _told(what: str, act, times: int) -> None:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    print(f"{what}: median {statistics.median(taken):.2f} ms, worst {max(taken):.2f} ms ({times} times)")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
