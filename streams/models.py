"""What Postgres knows of streams: how far each outbox is, and what still waits to be told."""

from django.conf import settings
from django.db import models, transaction
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Refused
from houses.tenancy import current_house


class Stream(models.Model):
    """The address of an ordered log of events; the events are elsewhere, with the stream server."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="streams")
    announced = models.BigIntegerField(db_default=0)  # events that ever went through the outbox

    class Meta:
        db_table = "streams"
        constraints = [
            models.UniqueConstraint(name="streams_house_id", fields=["house", "id"]),
            HouseOwned(name="streams_stay_in_their_house"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Outbox(models.Model):
    """An event on its way: written with the row change it tells of, gone when the stream has it."""

    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    stream = models.ForeignKey(Stream, on_delete=models.DO_NOTHING, db_constraint=False, related_name="waiting")
    position = models.BigIntegerField()  # counts from 0 in each stream; the idempotent producer's sequence
    author = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.TextField()
    payload = models.JSONField()
    announced_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "outbox"
        constraints = [
            models.UniqueConstraint(name="one_event_per_position", fields=["house", "stream", "position"]),
            SameHouse(
                name="an_event_is_told_in_its_house",
                fields=("house", "stream"),
                to="streams.Stream",
                on_delete="cascade",
            ),
            HouseOwned(name="the_outbox_stays_in_its_house"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.position}"


class TooManyStreams(Refused):
    """The house has as many raw streams as it may have."""

    code = "too_many_streams"


class RawStreams(models.QuerySet["RawStream"]):
    """The raw streams of the house."""

    @transaction.atomic
    def begin(self, name: str, content_type: str, *, by: Agent) -> bool:
        """Make room for a stream of that name; False if there is one. Raises `TooManyStreams`."""
        list(House.objects.filter(pk=current_house()).select_for_update(no_key=True))  # so that nobody counts meanwhile
        if self.filter(name=name).exists():
            return False
        if self.count() >= settings.RAW_STREAMS:
            raise TooManyStreams(f"This house has {settings.RAW_STREAMS} raw streams, and no more fit; delete some.")
        self.create(house_id=current_house(), name=name, content_type=content_type, created_by=by)
        return True


class RawStream(models.Model):
    """A log of bytes, text or JSON that the house keeps for itself; what is in it is with the stream server."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    name = models.TextField(editable=False)
    content_type = models.TextField(editable=False)
    created_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = RawStreams.as_manager()

    class Meta:
        db_table = "raw_streams"
        constraints = [
            models.UniqueConstraint(name="a_house_names_a_raw_stream_once", fields=["house", "name"]),
            HouseOwned(name="raw_streams_stay_in_their_house"),
            Audited(name="raw_streams_are_audited"),
        ]

    def __str__(self) -> str:
        return self.name
