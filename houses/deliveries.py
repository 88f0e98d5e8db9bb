"""Deliveries: which secret went into which run, and how often its output had to be redacted. Never a value."""

import json
from collections.abc import Mapping
from typing import Any, Self

from django.db import connection, models
from django.db.models.functions import Now

from houses.agents import Agent
from houses.constraints import HouseOwned
from houses.ids import ShortIdField
from houses.places import House
from houses.tenancy import current_house

REDACTED = """
UPDATE secret_deliveries SET redactions = (%(counts)s::jsonb ->> name)::int
WHERE house_id = %(house)s AND command_id = %(command)s AND name = ANY(%(names)s)
"""


class SecretDeliveryQuerySet(models.QuerySet["SecretDelivery"]):
    """What was handed to runs of the house."""

    def note(
        self, versions: Mapping[str, int], *, command_id: str, agent: Agent, thread_id: str, environment_id: str
    ) -> None:
        """These secrets go to a run: one row each, in the transaction that writes down its start."""
        rows = [
            SecretDelivery(
                house_id=current_house(),
                name=name,
                version=version,
                agent=agent,
                environment_id=environment_id,
                thread_id=thread_id,
                command_id=command_id,
            )
            for name, version in sorted(versions.items())
        ]
        self.bulk_create(rows, ignore_conflicts=True)

    def note_redactions(self, command_id: str, counts: Mapping[str, int]) -> None:
        """How often each secret was in the output of a run, all told. Saying it twice says it once."""
        if counts:
            values: dict[str, Any] = {"house": current_house(), "command": command_id}
            with connection.cursor() as cursor:
                cursor.execute(REDACTED, values | {"counts": json.dumps(dict(counts)), "names": list(counts)})

    def of(self, name: str) -> Self:
        """Whatever was handed out under a name, newest first."""
        return self.filter(name=name).order_by("-delivered_at", "-id")


class SecretDelivery(models.Model):
    """A secret was handed to a run. Ids of what is above the houses are plain text; they may be gone."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    name = models.TextField()  # of the secret, as it was then
    version = models.IntegerField(default=1)  # of its value
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    environment_id = models.TextField(default="", blank=True)
    thread_id = models.TextField(default="", blank=True)
    command_id = models.TextField()
    delivered_at = models.DateTimeField(db_default=Now(), editable=False)
    redactions = models.IntegerField(default=0, db_default=0)

    objects = SecretDeliveryQuerySet.as_manager()

    class Meta:
        db_table = "secret_deliveries"
        verbose_name_plural = "secret deliveries"
        constraints = [
            models.UniqueConstraint(name="a_secret_is_delivered_once_per_run", fields=["house", "command_id", "name"]),
            HouseOwned(name="secret_deliveries_stay_in_their_house"),
        ]
        indexes = [models.Index(fields=["house", "name", "-delivered_at"], name="deliveries_of_a_secret")]

    def __str__(self) -> str:
        return f"{self.name} to {self.command_id}"
