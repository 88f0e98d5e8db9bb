"""Mutations: the append-only log of structural changes. Triggers write it (`houses.audit`); nobody changes it."""

from datetime import datetime
from typing import Self
from uuid import UUID

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models.functions import Now

from houses.constraints import HouseOwned

INSERT, UPDATE, DELETE = ACTIONS = ("insert", "update", "delete")
ARBE = "arbe"  # by nobody: its own housekeeping


class MutationQuerySet(models.QuerySet["Mutation"]):
    """What was changed, as far as row-level security shows it."""

    def newest_first(self) -> Self:
        return self.order_by("-id")

    def before(self, cursor: int) -> Self:
        """Older than the one with that id."""
        return self.filter(id__lt=cursor)

    def chosen(
        self,
        *,
        agent: UUID | str = "",
        table: str = "",
        row: str = "",
        action: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Self:
        """Those by an agent, or by `ARBE` where nobody asked for it; of a kind of thing, or of one; in a time."""
        names = {"agent_id": agent if agent != ARBE else None, "table_name": table, "row_id": row, "action": action}
        rows = self.filter(**{name: value for name, value in names.items() if value != ""})
        rows = rows.filter(at__gte=since) if since else rows
        return rows.filter(at__lt=until) if until else rows


class Mutation(models.Model):
    """Somebody made, changed or removed a row of structure. It stays when the row, the agent or the house has gone."""

    id = models.BigAutoField(primary_key=True)
    house_id = models.TextField(null=True, editable=False)
    agent_id = models.UUIDField(null=True, editable=False)  # null where arbe itself changed something
    table_name = models.TextField(editable=False)
    row_id = models.TextField(editable=False)  # a key of several columns is joined by spaces
    action = models.TextField(choices=[(word, word) for word in ACTIONS], editable=False)
    # Of a row that was made or deleted all columns but the key and the house; of one that changed, what changed.
    before = models.JSONField(null=True, editable=False)
    after = models.JSONField(null=True, editable=False)
    at = models.DateTimeField(db_default=Now(), editable=False)

    objects = MutationQuerySet.as_manager()

    class Meta:
        db_table = "mutations"
        constraints = [HouseOwned(name="mutations_stay_in_their_house", outlives=True)]
        indexes = [
            models.Index(fields=["house_id", "id"], name="mutations_in_a_house"),
            HashIndex(fields=["row_id"], name="mutations_to_a_row"),  # its keys are random: a tree would cost more
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.row_id} in {self.table_name}"
