"""Secrets of a house: a name here, the value in the vault."""

import re
from typing import Self

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from houses import vault
from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Invalid
from houses.saying import one_at_a_time
from houses.standing import require_x
from houses.tenancy import current_house
from houses.texts import UNFIT

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
OUR_OWN = "ARBE_"  # what arbe itself tells a command, its token among it
LONGEST = 64 * 1024  # characters


class SecretQuerySet(models.QuerySet["Secret"]):
    """The house's secrets, by name."""

    def put(self, name: str, value: str, *, by: Agent) -> "Secret":
        """Keep a value under a name; a value that was there is replaced and forgotten."""
        require_x(by)
        if not NAME.fullmatch(name):
            raise Invalid("A secret's name is what a program finds it by: capital letters, digits and _, like API_KEY.")
        if name.startswith(OUR_OWN):
            raise Invalid(f"Names that begin with {OUR_OWN} are arbe's own; call it something else.")
        if not value or len(value) > LONGEST or UNFIT.search(value):
            raise Invalid("A secret's value is text of 1 to 65,536 characters, without NUL.")
        one_at_a_time("secret", name)
        secret = self.select_for_update().filter(name=name).first()
        if secret is None:
            return self.create(house_id=current_house(), name=name, vault_secret_id=vault.put(value))
        vault.drop(secret.vault_secret_id)
        secret.vault_secret_id = vault.put(value)
        secret.version += 1
        secret.rotated_at, secret.rotated_by = timezone.now(), by
        secret.save(update_fields=["vault_secret_id", "version", "rotated_at", "rotated_by"])
        return secret

    def named(self, names: list[str]) -> Self:
        return self.filter(name__in=names)


class Secret(models.Model):
    """A named value that environments may hand to what runs in them. It is written, never read back."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="secrets")
    name = models.TextField()
    vault_secret_id = models.UUIDField(editable=False)
    version = models.IntegerField(default=1, db_default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    rotated_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)

    objects = SecretQuerySet.as_manager()

    class Meta:
        db_table = "secrets"
        constraints = [
            models.UniqueConstraint(name="one_value_per_name_and_house", fields=["house", "name"]),
            models.UniqueConstraint(name="secrets_house_id", fields=["house", "id"]),
            HouseOwned(name="secrets_stay_in_their_house"),
            Audited(name="secrets_are_audited", hidden=("vault_secret_id",)),
        ]

    def __str__(self) -> str:
        return self.name

    def reveal(self) -> str:
        """The value, for dispatch alone."""
        return vault.open_value(self.vault_secret_id)

    def forget(self, *, by: Agent) -> None:
        """The value is gone for good; what required it is refused from now on, and says so."""
        require_x(by)
        now = Secret.objects.select_for_update().filter(pk=self.pk).first()  # it may have had another value since
        if now is not None:
            vault.drop(now.vault_secret_id)
            now.delete()
