"""Idempotency keys: what was answered to a request, so that saying it again does nothing and answers the same."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import psycopg
from django.db import OperationalError, connection, models
from django.db.models.functions import Now

from houses.agents import Agent
from houses.constraints import AgentOwned
from houses.refusals import Refused

if TYPE_CHECKING:
    from uuid import UUID

KEPT_FOR = timedelta(hours=24)
PATIENCE = "10s"  # how long the second of two at the same time waits for the first

CLAIM = """
INSERT INTO kept_answers (agent_id, key, asked) VALUES (%(agent)s, %(key)s, %(asked)s)
ON CONFLICT (agent_id, key) DO UPDATE
    SET asked = EXCLUDED.asked, status = NULL, box = NULL, asked_at = statement_timestamp()
    WHERE kept_answers.asked_at <= statement_timestamp() - make_interval(secs => %(kept_for)s)
RETURNING id
"""


class KeyReused(Refused):
    """The key was sent before, with something else."""

    code = "idempotency_key_reused"
    status = 422


class StillAnswering(Refused):
    """The first request with this key is not over."""

    code = "idempotency_key_in_use"


class KeptAnswers(models.QuerySet["KeptAnswer"]):
    """Answers of the agent that we are, which is all that the database shows."""

    def claim(self, agent_id: "UUID", key: str, asked: str) -> "KeptAnswer | None":
        """None for whoever comes first, who has to `keep` the answer in this transaction; else what was answered.

        Whoever comes second while the first is at work waits for it. Raises `KeyReused`, `StillAnswering`.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
            try:
                cursor.execute(
                    CLAIM, {"agent": agent_id, "key": key, "asked": asked, "kept_for": KEPT_FOR.total_seconds()}
                )
            except OperationalError as waited:
                raise _still_answering() from waited
            is_first = cursor.fetchone() is not None
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
        return None if is_first else self.get(agent_id=agent_id, key=key).require(asked)

    def answered(self, agent_id: "UUID", key: str, asked: str) -> "KeptAnswer | None":
        """What was answered to this request within the day, if it was. Raises `KeyReused` for another one."""
        kept = self.filter(agent_id=agent_id, key=key, asked_at__gt=Now() - KEPT_FOR).first()
        return kept.require(asked) if kept else None

    def keep(self, agent_id: "UUID", key: str, *, status: int, box: bytes) -> None:
        """Remember what was answered to a request that was claimed."""
        self.filter(agent_id=agent_id, key=key).update(status=status, box=box)


class KeptAnswer(models.Model):
    """An answer, sealed, for a day; for the agent who asked, and nobody else."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.TextField()
    asked = models.TextField()  # a digest of the method, the address and the body
    status = models.IntegerField(null=True)
    box = models.BinaryField(null=True)
    asked_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = KeptAnswers.as_manager()

    class Meta:
        db_table = "kept_answers"
        constraints = [
            models.UniqueConstraint(name="a_key_is_answered_once", fields=["agent", "key"]),
            AgentOwned(name="kept_answers_are_their_agents_alone"),
        ]

    def __str__(self) -> str:
        return self.key

    def require(self, asked: str) -> Self:
        """This answer, if it was to that request. Raises `KeyReused`."""
        if self.asked != asked:
            raise KeyReused(
                "This Idempotency-Key came with another request before; give every new request a key of its own."
            )
        return self


class OneAtATime:
    """Holds a key while its request is answered outside of one transaction.

    The lock is held on a connection of its own, of no pool, and goes with it: what the work does with its connections
    neither ends nor outlives it.
    """

    def __init__(self, agent_id: "UUID", key: str) -> None:
        self.name = f"kept_answers {agent_id} {key}"

    def __enter__(self) -> None:
        self._held = psycopg.connect(**_parameters(), autocommit=True)
        said = self._held.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self.name]).fetchone()
        if said != (True,):
            self._held.close()
            raise _still_answering()

    def __exit__(self, *_: object) -> None:
        self._held.close()


def _parameters() -> dict[str, Any]:
    """How Django connects, but for the pool, and with rows as they come."""
    given = connection.get_connection_params()
    return {name: value for name, value in given.items() if name not in ("cursor_factory", "context")}


def sweep() -> None:
    """Forget what is older than a day, of every agent. The database knows one function for that, and no other way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT forget_kept_answers()")


def _still_answering() -> StillAnswering:
    return StillAnswering("The first request with this Idempotency-Key is still being answered; send it again soon.")
