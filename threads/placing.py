"""Where a task stands that is handed on: how often it was, below which run, and beside how many others.

A run's token reaches its own thread and those below. Wherever it hands something on, it is that run that does.
"""

from dataclasses import dataclass

from django.db import connection

from houses.agents import Agent
from houses.refusals import Refused

MOST_DEPTH = 3  # how often a task may be handed on
MOST_AT_ONCE, MOST_BELOW_A_RUN = 50, 8  # tasks below a thread, or a run's, that have not come to rest

# The run that hands on. A bot's is its own, the nearest here or above, or the one that goes on around it; what people
# ask for in a thread is below the run that goes on in that very thread.
HANDING = """
WITH RECURSIVE chain (id, upper, height) AS (
    SELECT id, parent_thread_id, 0 FROM threads WHERE id = %(thread)s
    UNION ALL
    SELECT thread.id, thread.parent_thread_id, chain.height + 1
    FROM chain JOIN threads thread ON thread.id = chain.upper WHERE %(bot)s::uuid IS NOT NULL
)
SELECT run.depth, run.id, chain.id FROM chain JOIN commands run ON run.thread_id = chain.id
WHERE run.bot_id IS NOT NULL AND (run.bot_id = %(bot)s::uuid OR run.status IN ('queued', 'running'))
ORDER BY chain.height, run.created_at DESC, run.id DESC LIMIT 1
"""
ENDING = """
SELECT 1 FROM commands WHERE thread_id = %s AND bot_id IS NOT NULL AND status IN ('queued', 'running')
    AND (stop_asked_by_id IS NOT NULL OR reason <> '')
"""
BUSY = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM threads WHERE parent_thread_id = %(thread)s
    UNION
    SELECT lower.id FROM below JOIN threads lower ON lower.parent_thread_id = below.id
)
SELECT count(*) FROM commands
WHERE thread_id IN (SELECT id FROM below) AND bot_id IS NOT NULL AND status IN ('queued', 'running')
"""


class TooManyTasks(Refused):
    """Tasks that hand on tasks without end."""

    code = "too_many_tasks"
    status = 429


class BeingStopped(Refused):
    """Somebody has stopped it, and it has not noticed yet."""

    code = "being_stopped"


def require_going(by: Agent) -> None:
    """Refuse the token of a run whose end was asked for: nothing begins below what is being stopped."""
    if not by.within:
        return
    with connection.cursor() as cursor:
        cursor.execute(ENDING, [by.within])
        if cursor.fetchone() is not None:
            raise BeingStopped("This run is being stopped; nothing more begins below it.")


@dataclass(frozen=True)
class TaskPlace:
    """`above` is the run that hands on, empty if none does; `top` the thread below which tasks are counted."""

    top: str
    depth: int = 0
    above: str = ""

    def require_room(self) -> None:
        """Refuse one more task where too many are at work. Needs a transaction: two that ask at once come in turn."""
        most = MOST_BELOW_A_RUN if self.above else MOST_AT_ONCE
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM threads WHERE id = %s FOR NO KEY UPDATE", [self.top])
            cursor.execute(BUSY, {"thread": self.top})
            ((busy,),) = cursor.fetchall()
        if busy >= most:
            raise TooManyTasks(f"{most} tasks of this thread are at work already; wait until one has come to rest.")


def task_place(thread_id: str, by: Agent) -> TaskPlace:
    """Where a task stands that somebody hands on in that thread. Raises `TooManyTasks` where it is too deep."""
    require_going(by)
    place = answer_place(thread_id, by)
    if place.depth > MOST_DEPTH:
        raise TooManyTasks(f"This task was handed on {MOST_DEPTH} times already; do it here.")
    return place


def answer_place(thread_id: str, by: Agent) -> TaskPlace:
    """The same for what a bot only answers, which may be asked however deep it is."""
    start = by.within or thread_id
    with connection.cursor() as cursor:
        cursor.execute(HANDING, {"thread": start, "bot": by.pk if by.is_bot else None})
        found = cursor.fetchone()
    if found is None:
        return TaskPlace(start)
    depth, above, top = found
    return TaskPlace(top, depth + 1, above)
