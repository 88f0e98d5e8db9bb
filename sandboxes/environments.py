"""Environments: the recipe of a machine (seed 003, table `environments`)."""

import hashlib
import json
import re
from typing import Any, Self

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from artifacts.models import Repository
from houses.agents import Agent
from houses.constraints import HouseOwned
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Invalid, Refused
from houses.secrets import NAME, Secret
from houses.tenancy import current_house
from sandboxes.provider import Limits

KNOWN = {"repository", "image", "setup", "network", "limits", "env"}
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class MissingSecret(Refused):
    """A required binding names a secret that the house does not have."""

    code = "missing_secret"


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    """The house's environments."""

    def create_in(
        self, house: House, name: str, *, by: Agent, config: dict[str, Any], secret_bindings: list[dict[str, Any]]
    ) -> "Environment":
        """A recipe; without a repository one is made for it. The house's first environment becomes its default."""
        if not name.strip():
            raise Invalid("An environment needs a name.")
        if not config.get("repository"):
            config = config | {"repository": Repository.objects.create_in(house, name, by=by).pk}
        environment = self.create(
            house=house,
            name=name.strip()[:200],
            config=checked_config(config),
            secret_bindings=checked_bindings(secret_bindings),
        )
        House.objects.filter(pk=house.pk, default_environment_id=None).update(default_environment_id=environment.pk)
        return environment

    def injecting(self, secret_name: str) -> Self:
        """Which environments a secret goes to."""
        return self.filter(secret_bindings__contains=[{"name": secret_name}])


class Environment(models.Model):
    """What a sandbox is made from: repository, set-up, network, limits, and which secrets it is handed."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="environments")
    name = models.TextField()
    config = models.JSONField(db_default={}, blank=True)
    secret_bindings = models.JSONField(db_default=[], blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        db_table = "environments"
        constraints = [
            models.UniqueConstraint(name="environments_house_id", fields=["house", "id"]),
            HouseOwned(name="environments_stay_in_their_house"),
        ]
        indexes = [GinIndex(fields=["secret_bindings"], name="which_environments_inject")]

    def __str__(self) -> str:
        return self.name

    @property
    def repository(self) -> Repository:
        """Where its trees come from, and where what is made goes."""
        return Repository.objects.get(pk=self.config["repository"])

    @property
    def limits(self) -> Limits:
        return Limits.of(self.config.get("limits", {}))

    @property
    def digest(self) -> str:
        """Changes when a result may change with it: set-up, image, network and plain variables."""
        what = {key: self.config.get(key) for key in ("image", "setup", "network", "env")}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def variables(self) -> dict[str, str]:
        return {str(k): str(v) for k, v in self.config.get("env", {}).items()}

    def secrets(self) -> dict[str, str]:
        """Names and values to hand over. Raises `MissingSecret` before anything has started."""
        wanted = {binding["name"]: bool(binding.get("required")) for binding in self.secret_bindings}
        found = {secret.name: secret for secret in Secret.objects.named(list(wanted))}
        for name, required in wanted.items():
            if required and name not in found:
                raise MissingSecret(
                    f"{self.name} requires the secret {name}, which this house does not have; "
                    "an owner can add it under Settings → Secrets."
                )
        return {name: secret.reveal() for name, secret in found.items()}

    def change(self, *, name: str, config: dict[str, Any], secret_bindings: list[dict[str, Any]], by: Agent) -> None:
        """A new version of the recipe; sandboxes made before keep what they were made from."""
        if not name.strip():
            raise Invalid("An environment needs a name.")
        self.name = name.strip()[:200]
        self.config = checked_config({"repository": self.config.get("repository")} | config)
        self.secret_bindings = checked_bindings(secret_bindings)
        self.save(update_fields=["name", "config", "secret_bindings"])

    def make_default(self, *, by: Agent) -> None:
        House.objects.filter(pk=current_house()).update(default_environment_id=self.pk)


def checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, if every part of it means something. Raises `Invalid`."""
    if unknown := set(config) - KNOWN:
        raise Invalid(f"An environment has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(KNOWN))}.")
    if not Repository.objects.filter(pk=config.get("repository")).exists():
        raise Invalid("An environment needs a repository of this house.")
    if not isinstance(config.get("setup", ""), str) or not isinstance(config.get("network", False), bool):
        raise Invalid("`setup` is a script, `network` is true or false.")
    variables = config.get("env", {})
    if not isinstance(variables, dict) or not all(VARIABLE.fullmatch(str(key)) for key in variables):
        raise Invalid("`env` holds plain variables by name: letters, digits and _.")
    if any(not isinstance(value, str | int | float) or "\0" in str(value) for value in variables.values()):
        raise Invalid("A variable's value is text.")
    try:
        Limits.of(config.get("limits", {}))
    except (ValueError, TypeError) as wrong:
        raise Invalid(str(wrong)) from wrong
    return config


def checked_bindings(bindings: list[Any]) -> list[dict[str, Any]]:
    """`[{name, required}]`, cleaned. Raises `Invalid`."""
    kept = []
    for binding in bindings:
        if not isinstance(binding, dict) or not NAME.fullmatch(str(binding.get("name", ""))):
            raise Invalid("A secret binding names a secret in capital letters: {name, required}.")
        kept.append({"name": binding["name"], "required": bool(binding.get("required", True))})
    return kept
