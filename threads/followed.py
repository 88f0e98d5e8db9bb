"""Work that somebody asked for and a worker follows: the row is the queue, and says who follows it and how far.

Traits of commands, of runs, and of what bots answer.
"""

import time
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from houses.agents import Agent

QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"
STATUSES = (QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED)
MOST_ATTEMPTS = 8  # workers that began to follow one row, before it is said that none will succeed
LEASE = timedelta(seconds=6)  # a worker that has not said so for this long is no longer following
Row = TypeVar("Row", bound=models.Model)


class FollowedQuerySet(models.QuerySet[Row]):
    """Rows of work."""

    def unfinished(self) -> Self:
        return self.filter(status__in=[QUEUED, RUNNING])

    def over(self) -> Self:
        return self.exclude(status__in=[QUEUED, RUNNING])

    def due(self) -> Self:
        """Waiting for a worker: never begun, or its worker went away."""
        return self.filter(Q(status=QUEUED) | Q(status=RUNNING, leased_until__lt=Now()))

    def rung(self, pk: str) -> None:
        """Somebody was called for it again."""
        self.filter(pk=pk).update(rung_at=Now())

    def take(self, pk: str) -> Row | None:
        """The row, for the one worker that gets it; None if it has another, or is over. Needs a transaction."""
        row: Any = self.due().select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
        if row is None:
            return None
        row.status, row.leased_until = RUNNING, timezone.now() + LEASE
        row.attempts += 1
        row.save(update_fields=["status", "leased_until", "attempts"])
        return row  # type: ignore[no-any-return]  # a row of this query


class Followed(models.Model):
    """How far it is, who wants it to end, and until when its worker is known to follow it."""

    status = models.TextField(default=QUEUED, db_default=QUEUED, choices=[(status, status) for status in STATUSES])
    reason = models.TextField(default="", db_default="", blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    finished_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    stop_asked_by = models.ForeignKey(Agent, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    leased_until: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    rung_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0, db_default=0)  # how many workers began to follow it
    looked_at = 0.0  # by the clock of this process: when its follower was last known to get on

    class Meta:
        abstract = True

    @property
    def is_over(self) -> bool:
        return self.status not in (QUEUED, RUNNING)

    @property
    def is_ending(self) -> bool:
        """Somebody asked for its end, or nobody may have it any more."""
        return self.stop_asked_by_id is not None or bool(self.reason)

    @property
    def seconds(self) -> float:
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def mine(self) -> "models.QuerySet[Any]":
        """The row, for its follower: nothing once it is over, or another worker has begun to follow it."""
        return type(self)._default_manager.filter(pk=self.pk, status=RUNNING, attempts=self.attempts)

    def renew(self) -> bool:
        """Still following, and getting on; False if another worker took over, or it is over."""
        self.looked_at = time.monotonic()
        return self.prolong()

    def prolong(self) -> bool:
        """Still following, whether or not that gets on."""
        return bool(self.mine.update(leased_until=timezone.now() + LEASE))

    def uncount(self) -> None:
        """This attempt counts for nothing: what it lacked was nothing that it can do about."""
        self.mine.update(attempts=F("attempts") - 1)


class Poured(models.Model):
    """How much of its output is on the stream.

    Chunk `sequence` is bytes `poured` to `pouring`; written before it is appended, so that whoever takes over appends
    the very same chunk again, which the stream server knows to be a duplicate.
    """

    sequence = models.IntegerField(default=-1, db_default=-1)
    poured = models.BigIntegerField(default=0, db_default=0)
    pouring = models.BigIntegerField(default=0, db_default=0)
    style = models.TextField(default="", db_default="", blank=True)  # the ANSI colours in force after it
    redactions = models.JSONField(default=dict, db_default={})

    class Meta:
        abstract = True

    def note_chunk(self, end: int, *, style: str, hits: dict[str, int]) -> bool:
        """The next chunk goes up to byte `end`. False if another worker said so first: then it is theirs to go on."""
        redactions = {name: self.redactions.get(name, 0) + hits.get(name, 0) for name in self.redactions | hits}
        rows: Any = type(self)._default_manager
        mine = rows.filter(pk=self.pk, status=RUNNING, sequence=self.sequence)
        if not mine.update(
            sequence=F("sequence") + 1, poured=F("pouring"), pouring=end, style=style, redactions=redactions
        ):
            return False
        self.sequence, self.poured, self.pouring = self.sequence + 1, self.pouring, end
        self.style, self.redactions = style, redactions
        return True
