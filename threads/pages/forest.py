"""The tree of threads below one: who works in each, how far it is, whom it waits for, and what all that has cost."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from threads.models import InboxEntry, Spending, Thread
from threads.tokens import Spent

DEEPEST, MOST = 6, 300


@dataclass
class Node:
    """One thread of the tree."""

    thread: Thread
    spent: Spent | None
    waits_on: list[str]
    children: list["Node"] = field(default_factory=list)


def forest(top: Thread, readable: "QuerySet[Thread]") -> dict[str, Any]:
    """The tree, from the topmost thread above that one may read. A query a level, and two for all of it."""
    root = top
    for _ in range(DEEPEST):
        above = readable.filter(pk=root.parent_thread_id).first() if root.parent_thread_id else None
        if above is None:
            break
        root = above
    found, level = [root], [root.pk]
    for _ in range(DEEPEST):
        below = readable.filter(parent_thread__in=level).select_related("agent").order_by("created_at")
        rows = list(below[: MOST - len(found)]) if level and len(found) < MOST else []
        found, level = [*found, *rows], [row.pk for row in rows]
    nodes = _nodes(found)
    spent = [node.spent for node in nodes.values() if node.spent]
    known = [one.usd for one in spent if one.usd is not None]
    return {
        "root": nodes[root.pk],
        "is_cut": len(found) >= MOST,
        "tokens": sum(one.tokens for one in spent),
        "usd": sum(known) if known else None,
    }


def _nodes(threads: list[Thread]) -> dict[str, Node]:
    ids = [thread.pk for thread in threads]
    spent = Spending.objects.by("thread_id", ids)
    waits = defaultdict(list)
    for thread_id, entries in InboxEntry.objects.waiting_on(ids).items():
        waits[thread_id] = [str(entry.agent) for entry in entries]
    nodes = {thread.pk: Node(thread, spent.get(thread.pk), waits[thread.pk]) for thread in threads}
    for thread in threads:
        if thread.parent_thread_id in nodes and thread is not threads[0]:
            nodes[thread.parent_thread_id].children.append(nodes[thread.pk])
    return nodes
