"""What Postgres knows of streams: how far each outbox is, and what still waits to be told."""

from django.db import models
from django.db.models.functions import Now

from houses.agents import Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House


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
