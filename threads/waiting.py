"""What somebody said to a bot that was at work: handed to its run at once, or waiting visibly until it rests."""

from datetime import datetime
from typing import Self

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from houses.agents import Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Forbidden, Refused
from houses.rights import manages, require
from houses.scopes import W
from houses.tools import DELEGATE_TASK
from streams.outbox import announce
from threads.conversation import checked_text
from threads.events import Message
from threads.rights import NoLongerAllowed, require_still
from threads.run_events import MessageEdited, MessageHandedOver, MessageWithdrawn, SteerTaken
from threads.thread import Thread


class AlreadySent(Refused):
    """The bot has it."""

    code = "already_sent"


class WaitingQuerySet(models.QuerySet["WaitingMessage"]):
    """What was said to bots at work."""

    def still_waiting(self) -> Self:
        """Not handed over yet, in the order they were said."""
        return self.filter(sent_at=None, withdrawn_at=None).order_by("created_at", "pk")

    def to_steer(self, thread_id: str) -> "list[WaitingMessage]":
        """What the run of that thread is to be told now; what somebody said who may not any more waits on."""
        steering = self.still_waiting().filter(thread_id=thread_id, steers=True)
        return [one for one in steering.select_related("agent", "thread") if one.may_be_told]

    def to_begin_with(self, thread_id: str) -> "list[WaitingMessage]":
        """What the thread's next run is told first, of whoever still may. Locks them."""
        left = self.still_waiting().filter(thread_id=thread_id).select_related("agent", "thread")
        return [one for one in left.select_for_update(of=("self",)) if one.may_be_told]

    def not_taken(self, run_id: str) -> Self:
        """What that run was told and has not read."""
        return self.filter(run=run_id, sent_at__isnull=False, taken_at=None)


class WaitingMessage(models.Model):
    """One message: it steers the run that goes on, or begins the next one. Until it is sent it can be changed."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    thread = models.ForeignKey(Thread, on_delete=models.DO_NOTHING, db_constraint=False, related_name="waiting")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    steers = models.BooleanField(default=True, db_default=True)
    run = models.TextField(default="", db_default="", blank=True)  # the last run that it was handed to
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    taken_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)
    withdrawn_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(null=True)

    objects = WaitingQuerySet.as_manager()

    class Meta:
        db_table = "waiting_messages"
        constraints = [
            models.UniqueConstraint(name="waiting_messages_house_id", fields=["house", "id"]),
            SameHouse(
                name="a_message_waits_in_its_house",
                fields=("house", "thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            HouseOwned(name="waiting_messages_stay_in_their_house"),
        ]
        indexes = [models.Index(fields=["thread", "created_at"], name="messages_waiting_in_a_thread")]

    def __str__(self) -> str:
        return self.text.partition("\n")[0][:80]

    @property
    def is_waiting(self) -> bool:
        return self.sent_at is None and self.withdrawn_at is None

    @property
    def may_be_told(self) -> bool:
        """Whether whoever said it may still have work done there."""
        try:
            require_still(self.agent, self.thread, DELEGATE_TASK)
        except NoLongerAllowed:
            return False
        return True

    @transaction.atomic
    def edit(self, text: str, *, by: Agent) -> None:
        """Say it otherwise, as long as nobody has read it."""
        text = checked_text(text, "A message")
        message = self._still_mine(by)
        if message.text != text:
            WaitingMessage.objects.filter(pk=self.pk).update(text=text)
            announce(self.thread, MessageEdited(message_id=self.pk, text=text), by=by)
        self.text = text

    @transaction.atomic
    def withdraw(self, *, by: Agent) -> None:
        """Take it back, as long as nobody has read it."""
        require(by, W, self.thread)
        if WaitingMessage.objects.filter(~Q(withdrawn_at=None), pk=self.pk).exists():
            return
        self._still_mine(by)
        WaitingMessage.objects.filter(pk=self.pk).update(withdrawn_at=Now())
        announce(self.thread, MessageWithdrawn(message_id=self.pk), by=by)

    def hand_over(self, run_id: str, *, begins: bool = False) -> None:
        """It goes to that run: from here on it is a message like others. Needs a transaction, and the row unsent.

        What a run begins with is its prompt, and so it has read it.
        """
        sent = WaitingMessage.objects.filter(pk=self.pk, sent_at=None, withdrawn_at=None)
        if sent.update(sent_at=Now(), run=run_id, taken_at=Now() if begins else None):
            if not self.run:  # else it went to a run that ended without reading it, and was told then
                announce(self.thread, Message(text=self.text), by=self.agent)
            announce(self.thread, MessageHandedOver(message_id=self.pk, run_id=run_id), by=self.agent)

    def note_taken(self, *, by: Agent) -> None:
        """The agent has read it."""
        if WaitingMessage.objects.filter(pk=self.pk, taken_at=None).update(taken_at=Now()):
            announce(self.thread, SteerTaken(run_id=self.run, message_id=self.pk), by=by)

    def _still_mine(self, by: Agent) -> "WaitingMessage":
        require(by, W, self.thread)
        message = WaitingMessage.objects.select_for_update().get(pk=self.pk)
        if message.agent_id != by.pk and not manages(by, self.thread):
            raise Forbidden("Somebody else said this: they change it, or whoever manages the thread.")
        if not message.is_waiting:
            raise AlreadySent("It was handed over already; say something new.")
        return message
