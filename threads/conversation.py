"""What people do with a thread itself: its name, its pin, its tags, whether it is open. Traits of `Thread`."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone

from houses.agents import Agent
from houses.refusals import Invalid, Refused, TooLarge
from houses.rights import require
from houses.scopes import W
from houses.texts import one_line
from streams.envelope import LONGEST_MESSAGE
from streams.events import Event
from streams.outbox import announce
from threads.events import (
    Message,
    ThreadClosed,
    ThreadPinned,
    ThreadRenamed,
    ThreadReopened,
    ThreadTagged,
    ThreadUnpinned,
)

TAG = re.compile(r"[^\s,#\x00-\x1f\x7f\ud800-\udfff]{1,50}")


class ThreadIsClosed(Refused):
    """Nothing is said or done in a closed thread."""

    code = "thread_closed"

    def __init__(self) -> None:
        super().__init__("This thread is closed; reopen it to go on.")


def checked_text(text: str, what: str) -> str:
    """Text that a stream can keep. Raises `Invalid` or `TooLarge`."""
    size = len(text.encode(errors="surrogatepass"))
    if size > LONGEST_MESSAGE:
        raise TooLarge(f"{what} of {size / 1e6:.1f} MB is too long: 256 kB fit; put the rest into a file.")
    try:
        text.encode()
    except UnicodeEncodeError as wrong:
        raise Invalid(f"{what} has characters that are not valid Unicode.") from wrong
    text = text.replace("\0", "")
    if not text.strip():
        raise Invalid(f"{what} needs at least one character.")
    return text


class Told(models.Model):
    """The stream of a thread: rows change, then it is told."""

    house_id: str
    stream_id = models.TextField(unique=True, editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True

    def _touch(self) -> None:
        """Something happened here: the database's trigger sets `updated_at` on any update of the row."""
        self.save(update_fields=["updated_at"])

    def _changed(self, event: Event, *, by: Agent, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)
        self.save(update_fields=list(values))
        announce(self, event, by=by)

    def _locked(self) -> Self:
        """The row as it is now, and nobody else's for this transaction: so that saying it twice does it once."""
        return type(self)._default_manager.select_for_update(no_key=True).get(pk=self.pk)


class Named(Told):
    """A title, or none."""

    name = models.TextField(null=True, blank=True)

    class Meta:
        abstract = True

    @transaction.atomic
    def rename(self, name: str, *, by: Agent) -> None:
        require(by, W, self)
        title = one_line(name) or None
        if self._locked().name != title:
            self._changed(ThreadRenamed(name=title), by=by, name=title)


class Pinned(Told):
    """A pinned thread is a place one lands in."""

    pinned_at: "models.DateTimeField[datetime | None, datetime | None]" = models.DateTimeField(
        null=True, blank=True, editable=False
    )

    class Meta:
        abstract = True

    @transaction.atomic
    def pin(self, *, by: Agent) -> None:
        require(by, W, self)
        if self._locked().pinned_at is None:
            self._changed(ThreadPinned(), by=by, pinned_at=timezone.now())

    @transaction.atomic
    def unpin(self, *, by: Agent) -> None:
        require(by, W, self)
        if self._locked().pinned_at is not None:
            self._changed(ThreadUnpinned(), by=by, pinned_at=None)


class Tagged(Told):
    """Tags are what people call it; they never change how it behaves."""

    tags = ArrayField(models.TextField(), default=list, db_default=[], blank=True)

    class Meta:
        abstract = True

    @transaction.atomic
    def tag(self, tags: list[str], *, by: Agent) -> None:
        """Exactly these tags from now on."""
        require(by, W, self)
        kept = sorted({tag.strip().lstrip("#") for tag in tags} - {""})
        if any(not TAG.fullmatch(tag) for tag in kept) or len(kept) > 30:
            raise Invalid("Tags are up to 30 words of up to 50 characters, without spaces or commas.")
        if self._locked().tags != kept:
            self._changed(ThreadTagged(tags=kept), by=by, tags=kept)


class Spoken(Told):
    """Somebody says something; somebody closes the door."""

    status: Any
    agent_id: Any
    hear: Callable[..., None]
    answers: Any

    class Meta:
        abstract = True

    @property
    def is_closed(self) -> bool:
        return bool(self.status == "closed")

    def require_open(self) -> None:
        if self.is_closed:
            raise ThreadIsClosed

    @transaction.atomic
    def say(self, text: str, *, by: Agent, waits: bool = False) -> None:
        """Say something. To a bot that drives this thread it is work; `waits`: not to disturb the run that goes on."""
        require(by, W, self)
        text = checked_text(text, "A message")
        self._locked().require_open()
        if self.agent_id is not None and self.agent_id != by.pk:
            self.hear(text, by=by, waits=waits)
            return
        announce(self, Message(text=text), by=by)
        self.answers.ask(self, text, by=by)
        self._touch()

    def close(self, *, by: Agent) -> None:
        require(by, W, self)
        self.shut(by=by)

    @transaction.atomic
    def shut(self, *, by: Agent) -> None:
        """Close it, for work that has ended: whether that might be done was asked before."""
        if not self._locked().is_closed:
            self._require_undriven()
            self._changed(ThreadClosed(), by=by, status="closed")

    @transaction.atomic
    def reopen(self, *, by: Agent) -> None:
        require(by, W, self)
        if self._locked().is_closed:
            self._changed(ThreadReopened(), by=by, status="open")

    def _require_undriven(self) -> None:
        if self.agent_id is not None:
            raise Refused("A bot drives this thread: stop its run instead of closing it.")
