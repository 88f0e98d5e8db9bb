"""Grants: rows of django-guardian's object permissions, in a house, with who gave them and when.

What an agent was given on one scope is the set of its rows there: any of `r`, `w`, `x`, or `none` alone, which is a
grant too. The nearest scope with a grant decides (`houses.rights`).
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pgtrigger
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.aggregates import StringAgg
from django.db import models
from django.db.models import Exists, Func, Max, OuterRef, Subquery, TextField, UUIDField
from django.db.models.functions import Cast, Now
from guardian.managers import UserObjectPermissionManager
from guardian.models import UserObjectPermissionAbstract

from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.scopes import KINDS, NONE, Kind, Scope, as_bits

if TYPE_CHECKING:
    from houses.agents import Agent


class Ambient(Func):
    """A setting of the transaction, as `houses.tenancy.inside` made it; NULL outside."""

    template = "NULLIF(current_setting('%(setting)s', true), '')"
    arity = 0
    output_field = TextField()

    def __init__(self, setting: str) -> None:
        super().__init__(setting=setting)


class Grants(UserObjectPermissionManager):
    """What agents were given, scope by scope. The verbs that ask who may are in `houses.giving`."""

    def on(self, scope: Scope) -> "models.QuerySet[Grant]":
        return self.filter(object_pk=scope.pk).select_related("permission", "user")

    def each(self) -> "models.QuerySet[Grant]":
        """One row for everything that somebody was given on one scope: `given` has its bits, `given_at` the last."""
        same = Grant.objects.filter(house=OuterRef("house"), user=OuterRef("user"), object_pk=OuterRef("object_pk"))
        together = same.order_by().values("object_pk")
        rows = self.filter(~Exists(same.filter(pk__lt=OuterRef("pk")))).select_related("user", "granted_by")
        told: models.QuerySet[Grant] = rows.annotate(
            given=Subquery(together.annotate(all=StringAgg("permission__codename", "")).values("all")),
            given_at=Subquery(together.annotate(last=Max("granted_at")).values("last")),
        )
        return told

    def replace(self, agent: "Agent", scope: Scope, bits: str) -> None:
        """Exactly these bits from now on, or `none`; nothing at all (an empty text) takes the grant away."""
        wanted = {NONE} if bits == NONE else set(as_bits(bits))
        given = self.filter(user=agent, object_pk=scope.pk)
        if set(given.values_list("permission__codename", flat=True)) == wanted:
            return
        given.delete()  # all of it, so that whoever granted what there is now is who is named
        for bit in sorted(wanted):
            self.assign_perm(bit, agent, cast(models.Model, scope))


class Grant(UserObjectPermissionAbstract):
    """One bit that somebody was given on one scope."""

    # The database knows the house and the giver, so that guardian's own verbs write rows like ours.
    house = models.ForeignKey(
        "houses.House",
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="grants",
        db_index=False,
        editable=False,
        db_default=Ambient("app.house_id"),
    )
    granted_by = models.ForeignKey(
        "houses.Agent",
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,
        related_name="+",
        editable=False,
        db_default=Cast(Ambient("app.agent_id"), UUIDField()),
    )
    granted_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[Grants] = Grants()

    class Meta(UserObjectPermissionAbstract.Meta):
        abstract = False
        db_table = "grants"
        # Guardian's own leaves the house out, but a tool of the installation is a scope in every house.
        unique_together: ClassVar[list[Sequence[str]]] = []
        indexes = [models.Index(fields=["house", "object_pk"], name="grants_on_a_scope")]
        constraints = [
            models.UniqueConstraint(
                name="a_bit_is_given_once", fields=["house", "user", "object_pk", "content_type", "permission"]
            ),
            SameHouse(
                name="a_grant_is_a_members",
                fields=("house", "user"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            HouseOwned(name="grants_stay_in_their_house"),
            Audited(name="grants_are_audited"),
        ]

    def __str__(self) -> str:
        return f"{self.permission.codename} on {self.object_pk}"

    @property
    def word(self) -> str:
        """The kind of what it is on."""
        return next(kind.word for kind in KINDS.values() if _type_of(kind) == self.content_type_id)


def _type_of(kind: Kind) -> int:
    return ContentType.objects.get_for_model(kind.model).pk


def on_any_of(scopes: "Iterable[models.QuerySet[Any]]") -> models.Q:
    """What a grant has to be on, to be on one of these."""
    wanted = models.Q()
    for rows in scopes:
        wanted |= models.Q(content_type=_type_of(KINDS[rows.model]), object_pk__in=rows.values("pk"))
    return wanted


def forgotten_with(kind: str) -> pgtrigger.Trigger:
    """A trigger for a scope's model: what was granted on a row goes with the row."""
    return pgtrigger.Trigger(
        name=f"{kind}_take_their_grants_along",
        when=pgtrigger.After,
        operation=pgtrigger.Delete,
        func="DELETE FROM grants WHERE house_id = OLD.house_id AND object_pk = OLD.id; RETURN NULL;",
    )
