"""What a big installation costs, as the app role with a real fsync: `python -m tests.bench.tenancy [houses] [threads]`.

A tenth of the threads are in one house, and the agent who asks is in it, and in ten others. Every question is asked by
the product's own code. The walls' cost is that SQL beside what one would write without them, the two taking turns: as
the operator, whom no policy binds, with the house written into it as a literal, and with plain filters where the app
role needs a function. It is told as the database sees it, planning and running apart; less than `NOISE` is none.
"""

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import psycopg

TURNS = 60
NOISE = 0.1  # ms
BIG = "bighouse2222"
# Each house by its place from 0 on; the big one is at -1.
PLACED = """
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM houses WHERE id <> '{big}'
          UNION ALL SELECT '{big}', -1) h
      ON h.place = CASE WHEN n % 10 = 0 THEN -1 ELSE n % ({houses} - 1) END
"""
ID = "lpad(translate(n::text, '01', 'xy'), 11, 'z')"
FILL = f"""
SET session_replication_role = replica;
INSERT INTO houses (id, name)
    SELECT CASE n WHEN 1 THEN '{{big}}' ELSE 'h' || {ID} END, 'House ' || n FROM generate_series(1, {{houses}}) n;
INSERT INTO agents (id, kind, name, email)
    SELECT gen_random_uuid(), 'human', 'Person ' || n, n || '@bench.example' FROM generate_series(1, {{houses}} * 5) n;
INSERT INTO members (house_id, agent_id, role)
    SELECT h.id, a.id, CASE WHEN a.place % 5 = 0 THEN 'owner' ELSE 'member' END
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM houses) h
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM agents) a ON a.place / 5 = h.place;
INSERT INTO members (house_id, agent_id, role)
    SELECT '{{big}}', id, 'member' FROM agents ORDER BY id LIMIT 500 ON CONFLICT DO NOTHING;
INSERT INTO members (house_id, agent_id, role)
    SELECT id, '{{asker}}', 'member' FROM houses ORDER BY id LIMIT 11 ON CONFLICT DO NOTHING;
INSERT INTO environments (id, house_id, name) SELECT 'e' || substr(id, 2), id, 'plain' FROM houses;
INSERT INTO threads (id, house_id, stream_id, name, tags, pinned_at, updated_at, created_at, environment_id)
    SELECT 't' || {ID}, h.id, 's' || n,
        (ARRAY['Soup', 'Menu', 'Budget', 'Release', 'Review'])[1 + n % 5] || ' ' || n,
        CASE WHEN n % 3 = 0 THEN ARRAY['tag' || n % 40, 'all'] WHEN n % 997 = 0 THEN ARRAY['rare'] ELSE '{{{{}}}}' END,
        CASE WHEN n % 5003 = 0 THEN now() END, now() - n * interval '7 seconds', now() - n * interval '8 seconds',
        'e' || substr(h.id, 2)
    FROM generate_series(1, {{threads}}) n {PLACED};
INSERT INTO memories (id, house_id, kind, subject, text, tags)
    SELECT 'm' || {ID}, h.id, 'fact', 'subject ' || n % 100,
        'what is to know of ' || (ARRAY['soup', 'menus', 'budgets', 'releases'])[1 + n % 4] || ' ' || n,
        ARRAY['tag' || n % 40]
    FROM generate_series(1, {{memories}}) n {PLACED};
"""


def main(houses: int, threads: int) -> None:
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
            "ARBE_REDIS_URL": ground.redis.url,
        }
        with tempfile.TemporaryDirectory() as var:
            os.environ["ARBE_VAR"] = var
            django.setup()
            from django.core.management import call_command

            call_command("migrate", database="owner", verbosity=0)
            asker = _filled(ground.postgres.url, houses, threads)
            _measured(asker)
    finally:
        from django.db import connections

        connections.close_all()
        ground.stop()


def _filled(url: str, houses: int, threads: int) -> Any:
    """Rows as a grown installation has them, put there past everything that would otherwise look at each."""
    from houses.models import Agent

    asker = Agent.objects.create_human("Ada", "ada@oak.example")
    began = time.perf_counter()
    with psycopg.connect(url, dbname="arbe", autocommit=True) as admin:
        words = {"big": BIG, "asker": asker.pk, "houses": houses, "threads": threads, "memories": threads // 10}
        admin.execute(FILL.format(**words))
        admin.execute("VACUUM (ANALYZE)")
        counted = admin.execute(f"SELECT count(*), count(*) FILTER (WHERE house_id = '{BIG}') FROM threads").fetchone()
    took = time.perf_counter() - began
    print(
        f"{houses:,} houses, {counted[0]:,} threads, {counted[1]:,} of them in one; filled in {took:.0f} s", flush=True
    )
    return asker


def _measured(asker: Any) -> None:
    from houses.models import House
    from houses.tenancy import inside

    with inside(BIG, asker):
        big = House.objects.get()
    small = next(house for house in _houses(asker) if house.pk != BIG)
    for house, name in ((big, "the big house"), (small, "a small one")):
        print(f"  in {name}:", flush=True)
        for what, question in questions(asker, house).items():
            _told(what, asker, house, question)


def _houses(asker: Any) -> list[Any]:
    from houses.membership import houses_of

    return houses_of(asker)


def questions(asker: Any, house: Any) -> dict[str, Callable[[], Any]]:
    """What people and bots ask all day, by the code that asks it for them."""
    from django.template import Context

    from arbe.templatetags.faces import sidebar
    from houses.models import Member, Memory
    from houses.rights import permitted, rights
    from threads.models import Thread

    shown = Context({"request": SimpleNamespace(user=asker), "house": house})
    thousand = list(Thread.objects.none())

    def judged() -> Any:
        if not thousand:
            thousand.extend(Thread.objects.recent()[:1000])
        return rights(asker, thousand)

    return {
        "sidebar": lambda: sidebar(shown),
        "threads with a tag that a third has": lambda: list(Thread.objects.tagged("all").order_by("-updated_at")[:50]),
        "threads with a tag that many have": lambda: list(Thread.objects.tagged("tag10").order_by("-updated_at")[:50]),
        "threads with a tag that few have": lambda: list(Thread.objects.tagged("rare").order_by("-updated_at")[:50]),
        "threads with a tag that nobody has": lambda: list(Thread.objects.tagged("none").order_by("-updated_at")[:50]),
        "threads one may read, the last touched": lambda: list(permitted(Thread.objects.recent(), asker)[:50]),
        "rights on 1,000 threads": judged,
        "houses of an agent": lambda: _houses(asker),
        "members page": lambda: list(Member.objects.select_related("agent").order_by("joined_at")[:200]),
        "memories that have a word": lambda: list(Memory.objects.recall("soup")[:50]),
        "memories that have a rare word": lambda: list(Memory.objects.recall("4210")[:50]),
    }


def _told(what: str, asker: Any, house: Any, question: Callable[[], Any]) -> None:
    from houses.tenancy import inside

    with inside(house, asker):
        question()
        walled = _statements(lambda: _inside_again(house, asker, question))
        taken = [_milliseconds(question) for _ in range(TURNS)]
    with _plainly():
        free = _statements(lambda: _inside_again(house, asker, question))
    p50, p95 = statistics.median(taken), sorted(taken)[int(TURNS * 0.95)]
    more = _compared(*_walls(walled, [with_house(one) for one in free if "SELECT ARRAY(SELECT" not in one.sql]))
    print(f"    {what:<42} p50 {p50:7.2f} ms   p95 {p95:7.2f} ms   {more}", flush=True)


@contextmanager
def _plainly() -> Iterator[None]:
    """With no function for what is few: whoever no policy binds needs none."""
    from houses import functions

    few, functions.FEW = functions.FEW, -1
    try:
        yield
    finally:
        functions.FEW = few


def _compared(walled: "list[Spent]", free: "list[Spent]") -> str:
    there, here = ([statistics.median(part) for part in zip(*spent, strict=True)] for spent in (free, walled))
    cost = sum(here) - sum(there)
    said = f"{cost:+.2f} ms ({cost / sum(there):+.0%})" if abs(cost) >= NOISE else f"{cost:+.2f} ms (noise)"
    return f"walls {said}: plan {there[0]:.2f} → {here[0]:.2f}, run {there[1]:.2f} → {here[1]:.2f} ms"


def _inside_again(house: Any, asker: Any, question: Callable[[], Any]) -> None:
    from houses.tenancy import inside

    with inside(house, asker):
        question()


def _milliseconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


@dataclass(frozen=True)
class Asked:
    """A statement, and the house and the agent that it was asked for."""

    sql: str
    house: str
    agent: str


def _statements(question: Callable[[], Any]) -> list[Asked]:
    """The SQL of a question, without what only says where one is."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        question()
    place, asked = ("", ""), []
    for one in captured.captured_queries:
        if told := re.search(
            r"set_config\('app.house_id', '(.*?)', true\), set_config\('app.agent_id', '(.*?)'", one["sql"]
        ):
            place = told.groups()
        elif one["sql"].lstrip().startswith(("SELECT", "WITH")):
            asked.append(Asked(one["sql"], *place))
    return asked


Spent = tuple[float, float]  # milliseconds of planning and of running


def _walls(walled: list[Asked], free: list[Asked]) -> tuple[list[Spent], list[Spent]]:
    """What the database spends on both, as the app role and as the operator, by turns."""
    spent: tuple[list[Spent], list[Spent]] = [], []
    with _connected("default") as app, _connected("operator") as operator:
        for turn in range(TURNS):
            sides = [(app, walled, spent[0]), (operator, free, spent[1])]
            for cursor, statements, into in sides if turn % 2 else reversed(sides):
                each = [_explained(cursor, one) for one in statements]
                into.append((sum(one[0] for one in each), sum(one[1] for one in each)))
    return spent


def _explained(cursor: psycopg.Cursor, asked: Asked) -> Spent:
    told = [asked.house, asked.agent]
    cursor.execute("SELECT set_config('app.house_id', %s, true), set_config('app.agent_id', %s, true)", told)
    (((found,),),) = cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {asked.sql}").fetchall()
    return found["Planning Time"], found["Execution Time"]


@contextmanager
def _connected(alias: str) -> Iterator[psycopg.Cursor]:
    from django.db import connections

    connections[alias].ensure_connection()
    with connections[alias].connection.transaction(), connections[alias].connection.cursor() as cursor:
        yield cursor


def with_house(asked: Asked) -> Asked:
    """The statement with the house's filter written by hand, for every table of a house that it reads."""
    from tests.houses.furniture import owned

    statement = re.sub(
        r"SELECT (threads|memories)_(\w+)\((\w+\(.*?\)|.*?)\)\)", partial(_by_index, asked.house), asked.sql
    )
    tables = "|".join(model._meta.db_table for model in owned())
    for found in reversed(list(re.finditer(rf'(?:FROM|JOIN) "({tables})"(?: (U\d+))?(?= |$)', statement))):
        name = found[2] or f'"{found[1]}"'
        mine = f"{name}.{'id' if found[1] == 'houses' else 'house_id'} = '{asked.house}'"
        if not asked.house:  # somebody's own memberships, and the houses of those
            own = f"SELECT house_id FROM members WHERE agent_id = '{asked.agent}'"
            mine = f"{name}.id IN ({own})" if found[1] == "houses" else f"{name}.agent_id = '{asked.agent}'"
        following = re.compile(r" WHERE | GROUP BY | ORDER BY | LIMIT |$").search(statement, found.end())
        assert following
        joined = f" WHERE {mine} AND " if following[0] == " WHERE " else f" WHERE {mine}{following[0]}"
        statement = statement[: following.start()] + joined + statement[following.end() :]
    return replace(asked, sql=statement)


def _by_index(house: str, called: re.Match[str]) -> str:
    """What a function of the house asks, said by whoever needs none."""
    test = {"tagged": "tags @> ARRAY[{}]", "saying": "words @@ {}"}[called[2]].format(called[3])
    return f"SELECT id FROM {called[1]} WHERE house_id = '{house}' AND {test})"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    numbers = [int(word.replace(",", "")) for word in sys.argv[1:]]
    main(*(numbers or [1_000, 1_000_000]))
