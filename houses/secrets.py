"""Secrets of a house: a name here, the value in the vault."""

import re
from typing import Self

from django.db import models
from django.db.models.functions import Now

from houses import vault
from houses.agents import Agent
from houses.constraints import HouseOwned
from houses.ids import ShortIdField
from houses.places import House, Member
from houses.refusals import Invalid
from houses.tenancy import current_house
from houses.titles import UNFIT

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
LONGEST = 64 * 1024  # characters


class SecretQuerySet(models.QuerySet["Secret"]):
    """The house's secrets, by name."""

    def put(self, name: str, value: str, *, by: Agent) -> "Secret":
        """Keep a value under a name; a value that was there is replaced and forgotten."""
        Member.objects.require_owner(by)
        if not NAME.fullmatch(name):
            raise Invalid("A secret's name is what a program finds it by: capital letters, digits and _, like API_KEY.")
        if not value or len(value) > LONGEST or UNFIT.search(value):
            raise Invalid("A secret's value is text of 1 to 65,536 characters, without NUL.")
        secret = self.select_for_update().filter(name=name).first()
        if secret is None:
            return self.create(house_id=current_house(), name=name, vault_secret_id=vault.put(value))
        vault.drop(secret.vault_secret_id)
        secret.vault_secret_id = vault.put(value)
        secret.save(update_fields=["vault_secret_id"])
        return secret

    def named(self, names: list[str]) -> Self:
        return self.filter(name__in=names)


class Secret(models.Model):
    """A named value that environments may hand to what runs in them. It is written, never read back."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="secrets")
    name = models.TextField()
    vault_secret_id = models.UUIDField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = SecretQuerySet.as_manager()

    class Meta:
        db_table = "secrets"
        constraints = [
            models.UniqueConstraint(name="one_value_per_name_and_house", fields=["house", "name"]),
            HouseOwned(name="secrets_stay_in_their_house"),
        ]

    def __str__(self) -> str:
        return self.name

    def reveal(self) -> str:
        """The value, for dispatch alone."""
        return vault.open_value(self.vault_secret_id)

    def forget(self, *, by: Agent) -> None:
        Member.objects.require_owner(by)
        vault.drop(self.vault_secret_id)
        self.delete()
