"""A list of a thousand costs as many questions as a list of one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.functions import FEW
from houses.models import Grant, Memory
from houses.rights import permitted, rights
from houses.tenancy import as_agent, inside
from threads.models import Thread


@pytest.mark.parametrize("granted", [False, True])
def test_rights_on_a_thousand_threads_cost_as_many_queries_as_on_one(oak, bo, granted):
    with inside(oak, bo):
        Thread.objects.bulk_create([Thread(house=oak, stream_id=f"stream {n}") for n in range(1000)])
        threads = list(Thread.objects.all())
        if granted:
            Grant.objects.replace(bo, threads[0], "none")
        counted = []
        for some in (threads[:1], threads):
            with CaptureQueriesContext(connection) as captured:
                found = rights(bo, some)
            counted.append(len(captured))
            assert len(found) == len(some)
        with CaptureQueriesContext(connection) as captured:
            seen = list(permitted(Thread.objects.all(), bo))
    assert counted[0] == counted[1] == (2 if granted else 1)
    assert len(seen) == (999 if granted else 1000) and len(captured) <= 3


def test_words_and_tags_of_many_memories_are_found_in_the_order_of_the_list(oak, elm, ada, bo):
    many = [Memory(house=oak, kind="fact", text=f"soup {n}", tags=["all"]) for n in range(FEW + 1)]
    few = Memory(house=oak, kind="fact", text="rye", tags=["one"])
    hidden = Memory(house=oak, agent=bo, kind="fact", text="soup and rye", tags=["all", "one"])
    for house, agent, memories in (
        (oak, bo, [*many, few, hidden]),
        (elm, None, [Memory(kind="fact", text="soup rye")]),
    ):
        with inside(house, agent):
            Memory.objects.bulk_create([Memory(**_values(memory, house)) for memory in memories])
    with inside(oak, ada), CaptureQueriesContext(connection) as captured:
        for found in (Memory.objects.recall("soup"), Memory.objects.recall(tags=["all"])):
            assert len(found) == FEW + 1 and {memory.agent_id for memory in found} == {None}
        for found in (Memory.objects.recall("rye"), Memory.objects.recall(tags=["one"])):
            assert [memory.text for memory in found] == ["rye"]
        assert not Memory.objects.recall("barley")
    lists = [query["sql"] for query in captured if "ORDER BY" in query["sql"]]
    assert ["@" in query for query in lists] == [True, True, False, False]


def _values(memory, house):
    return {"house": house, "agent": memory.agent, "kind": "fact", "text": memory.text, "tags": memory.tags}


def test_ones_houses_are_found_by_an_index_among_however_many(oak, bo):
    with as_agent(bo), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT id FROM houses")
        plan = "\n".join(line for (line,) in cursor)
    assert "Seq Scan" not in plan
