"""What somebody should look at: they were mentioned, something waits for them, something of theirs ended."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from houses.agents import HUMAN, Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import NotFound
from houses.rights import held, rights
from houses.scopes import R
from houses.standing import require_own_w
from threads.mentions import called
from threads.thread import Thread

MENTION, WAITING, FAILED, FINISHED = "mention", "waiting", "failed", "finished"
KINDS = (MENTION, WAITING, FAILED, FINISHED)
LONGEST = 2000  # characters of what it says


class InboxQuerySet(models.QuerySet["InboxEntry"]):
    """What people and bots should look at."""

    def put(self, agent: Agent, thread: Thread, kind: str, about: str, text: str, *, by: Agent | None) -> None:
        """Something to look at, once, for somebody who may read the thread.

        What one did oneself is no news; and a bot that handed something on is told in its thread how that ended.
        """
        if (by is not None and by.pk == agent.pk) or (agent.is_bot and kind != WAITING):
            return
        if R in rights(agent, [thread])[thread.pk].bits:
            self.bulk_create([self._entry(agent, thread, kind, about, text, by)], ignore_conflicts=True)

    def mention(self, text: str, thread: Thread, *, about: str, by: Agent) -> list[Agent]:
        """An entry for every person of the house who is named in the text, as `@Name`, and may read the thread."""
        found = _people(thread, text, by)
        rows = [self._entry(agent, thread, MENTION, about, text, by) for agent in found]
        self.bulk_create(rows, ignore_conflicts=True)
        return found

    def answered(self, thread: Thread, *, by: Agent | None) -> int:
        """Nobody waits in this thread any more: somebody said something, or its run rests. How many waited."""
        open_here = self.open_questions().filter(thread=thread)
        if by is not None:  # who asks does not answer that
            open_here = open_here.exclude(by=by)
        return open_here.update(done_at=Now())

    def asking(self, question: str) -> Self:
        """Those that say just that."""
        return self.filter(text=question[:LONGEST])

    def ask_instead(self, question: str) -> int:
        """These open questions say that now, and are to be read again."""
        return self.update(text=question[:LONGEST], read_at=None)

    def seen(self, thread: Thread, *, by: Agent) -> None:
        """They look at that thread now: what is in their inbox about it is read."""
        self.filter(agent=by, thread=thread, read_at=None).update(read_at=Now())

    def open_questions(self) -> Self:
        """What still waits for somebody."""
        return self.filter(kind=WAITING, done_at=None)

    def waiting_on(self, threads: Iterable[str]) -> "dict[str, list[InboxEntry]]":
        """Whom each of these threads waits for; for badges of lists, at once."""
        found: dict[str, list[InboxEntry]] = {}
        for entry in (
            self.open_questions().filter(thread__in=list(threads)).select_related("agent").order_by("created_at", "pk")
        ):
            found.setdefault(entry.thread_id, []).append(entry)
        return found

    def of(self, agent: Agent) -> Self:
        """What is theirs to look at, newest first; nothing of a thread that they may not read any more."""
        mine = self.filter(agent=agent, thread__in=Thread.objects.readable_by(agent).values("pk"))
        return mine.order_by("-created_at", "-pk")

    def unread(self) -> Self:
        return self.filter(read_at=None, done_at=None)

    def to_do(self) -> Self:
        """What nobody has dealt with yet."""
        return self.filter(done_at=None)

    def _entry(self, agent: Agent, thread: Thread, kind: str, about: str, text: str, by: Agent | None) -> "InboxEntry":
        return InboxEntry(
            house_id=thread.house_id, agent=agent, thread=thread, kind=kind, about=about, text=text[:LONGEST], by=by
        )


class InboxEntry(models.Model):
    """One thing for one agent. `about` names it, so that it comes once; `done_at` is when it needs nobody any more."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, db_constraint=False, related_name="inbox")
    thread = models.ForeignKey(Thread, on_delete=models.DO_NOTHING, db_constraint=False, related_name="inbox_entries")
    kind = models.TextField(choices=[(kind, kind) for kind in KINDS])
    about = models.TextField()  # the run, the message or the question
    text = models.TextField(default="", db_default="", blank=True)
    by = models.ForeignKey(Agent, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    read_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    done_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)

    objects = InboxQuerySet.as_manager()

    class Meta:
        db_table = "inbox"
        verbose_name_plural = "inbox entries"
        constraints = [
            models.UniqueConstraint(name="inbox_house_id", fields=["house", "id"]),
            models.UniqueConstraint(name="a_thing_comes_once", fields=["house", "agent", "kind", "about"]),
            models.CheckConstraint(name="an_inbox_entry_is_of_a_known_kind", condition=Q(kind__in=KINDS)),
            SameHouse(
                name="an_inbox_entry_is_a_members",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            SameHouse(
                name="an_inbox_entry_is_of_its_houses_thread",
                fields=("house", "thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            HouseOwned(name="inbox_entries_stay_in_their_house"),
        ]
        indexes = [
            models.Index(fields=["house", "agent", "-created_at"], name="inbox_of_an_agent"),
            models.Index(fields=["thread"], name="waiting_in_a_thread", condition=Q(kind=WAITING, done_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:60]}"

    @property
    def is_done(self) -> bool:
        return self.done_at is not None

    def read(self, *, by: Agent) -> None:
        """They have seen it."""
        self._set("read_at", by)

    def unread(self, *, by: Agent) -> None:
        """To be looked at again."""
        self._require_own(by)
        InboxEntry.objects.filter(pk=self.pk).update(read_at=None)
        self.read_at = None

    def done(self, *, by: Agent) -> None:
        """Nobody has to do anything about it any more, and so it is read, too."""
        self._set("read_at", by)
        self._set("done_at", by)

    def _set(self, column: str, by: Agent) -> None:
        """The first time counts."""
        self._require_own(by)
        InboxEntry.objects.filter(pk=self.pk, **{column: None}).update(**{column: Now()})
        self.refresh_from_db(fields=[column])

    def _require_own(self, by: Agent) -> None:
        require_own_w(by)
        if self.agent_id != by.pk:
            raise NotFound


def _people(thread: Thread, text: str, by: Agent) -> list[Agent]:
    """Whom the text names; of those, whoever may read the thread."""
    if "@" not in text:
        return []
    found = called(text, Agent.objects.here().filter(kind=HUMAN, is_active=True).exclude(pk=by.pk))
    seen = held(found, [thread]) if found else {}
    return [person for person in found if R in seen[person.pk, thread.pk].bits]
