"""Environments: the recipe of a machine."""

import hashlib
import json
import re
from dataclasses import asdict
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from artifacts.models import Repository
from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Invalid, Refused
from houses.secrets import NAME, Secret
from houses.standing import require_x
from houses.tenancy import current_house
from houses.texts import UNFIT, one_line
from sandboxes.provider import Limits

KNOWN = {"repository", "image", "setup", "network", "limits", "env"}
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")  # of repositories
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# What one environment may ask of the machine; enough for any honest work, too little to take it away from the others.
CEILING = Limits(
    memory_mb=65_536, cpu_seconds=86_400, processes=4_096, file_mb=65_536, wall_seconds=604_800, output_mb=256
)


class NetworkClosed(Refused):
    """This installation keeps sandboxes off the network."""

    code = "network_closed"

    def __init__(self) -> None:
        super().__init__(
            "This installation keeps commands off the network. Its operator can open it with ARBE_SANDBOX_NETWORK=yes; "
            "such commands then share the network of the server."
        )


class MissingSecret(Refused):
    """A required binding names a secret that the house does not have."""

    code = "missing_secret"


# What the run of an agent may use where the recipe is silent: it works for hours, and talks all the time.
RUN_LIMITS = {"memory_mb": 4096, "cpu_seconds": 86400, "wall_seconds": 86400, "output_mb": 512, "processes": 512}


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    """The house's environments."""

    def create_in(
        self, house: House, name: str, *, by: Agent, config: dict[str, Any], secret_bindings: list[dict[str, Any]]
    ) -> "Environment":
        """A recipe; without a repository one is made for it. The house's first environment becomes its default."""
        require_x(by)
        name = one_line(name)
        if not name:
            raise Invalid("An environment needs a name.")
        bindings = checked_bindings(secret_bindings)
        check_parts(config)  # before there is a folder that a refusal would leave behind
        if not config.get("repository"):
            called = NOT_IN_NAMES.sub("-", name).strip("-._") or "work"
            config = config | {"repository": Repository.objects.create_in(house, called[:100], by=by).pk}
        environment = self.create(house=house, name=name, config=checked_config(config), secret_bindings=bindings)
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
            Audited(name="environments_are_audited"),
        ]
        indexes = [GinIndex(fields=["secret_bindings"], name="which_environments_inject")]

    def __str__(self) -> str:
        return self.name

    @property
    def repository(self) -> Repository:
        """Where its trees come from, and where what is made goes. Raises `Refused`."""
        repository = Repository.objects.filter(pk=self.config.get("repository")).first()
        if repository is None:
            raise Refused(f"{self.name} has no repository on it; pick one under Settings → Environments.")
        return repository

    @property
    def limits(self) -> Limits:
        return Limits.of(self.config.get("limits", {}))

    @property
    def run_limits(self) -> Limits:
        """Those of an agent's run: hours, where the recipe says nothing else."""
        return Limits.of({**RUN_LIMITS, **self.config.get("limits", {})})

    @property
    def digest(self) -> str:
        """Changes when a result may change with it: set-up, image, network and plain variables."""
        what = {key: self.config.get(key) for key in ("image", "setup", "network", "env")}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def network(self) -> bool:
        """Whether its commands reach the network: where the recipe says so and this installation allows it."""
        return bool(self.config.get("network")) and bool(settings.SANDBOX_NETWORK)

    def variables(self) -> dict[str, str]:
        return {str(k): str(v) for k, v in self.config.get("env", {}).items()}

    def secrets(self) -> dict[str, str]:
        """Names and values to hand over. Raises `MissingSecret` before anything has started."""
        return {secret.name: secret.reveal() for secret in self.wanted_secrets()}

    def wanted_secrets(self) -> list[Secret]:
        """The secrets to hand over, still closed. Raises `MissingSecret`."""
        wanted = {binding["name"]: bool(binding.get("required")) for binding in self.secret_bindings}
        found = {secret.name: secret for secret in Secret.objects.named(list(wanted))} if wanted else {}
        for name, required in wanted.items():
            if required and name not in found:
                raise MissingSecret(
                    f"{self.name} requires the secret {name}, which this house does not have; "
                    "an owner can add it under Settings → Secrets."
                )
        return list(found.values())

    def requires(self, secret_name: str) -> bool:
        """Whether its commands do not start without that secret."""
        return any(one["name"] == secret_name and one.get("required") for one in self.secret_bindings)

    def change(self, *, name: str, config: dict[str, Any], secret_bindings: list[dict[str, Any]], by: Agent) -> None:
        """A new version of the recipe; sandboxes made before keep what they were made from."""
        require_x(by)
        name = one_line(name)
        if not name:
            raise Invalid("An environment needs a name.")
        self.name = name
        self.config = checked_config({"repository": self.config.get("repository")} | config)
        self.secret_bindings = checked_bindings(secret_bindings)
        self.save(update_fields=["name", "config", "secret_bindings"])

    def make_default(self, *, by: Agent) -> None:
        require_x(by)
        House.objects.filter(pk=current_house()).update(default_environment_id=self.pk)


def checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, if every part of it means something. Raises `Invalid`."""
    check_parts(config)
    if not Repository.objects.filter(pk=config.get("repository")).exists():
        raise Invalid("An environment needs a repository of this house.")
    return config


def check_parts(config: dict[str, Any]) -> None:
    """Everything but the repository. Raises `Invalid`, `NetworkClosed`."""
    if unknown := set(config) - KNOWN:
        raise Invalid(f"An environment has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(KNOWN))}.")
    if not all(_is_text(config.get(name) or "") for name in ("setup", "image")):
        raise Invalid("`setup` is a script, `image` is a name.")
    if not isinstance(config.get("network", False), bool):
        raise Invalid("`network` is true or false.")
    if config.get("network") and not settings.SANDBOX_NETWORK:
        raise NetworkClosed
    _check_variables(config.get("env", {}))
    _check_limits(config.get("limits", {}))


def _check_variables(variables: Any) -> None:
    if not isinstance(variables, dict) or not all(VARIABLE.fullmatch(str(key)) for key in variables):
        raise Invalid("`env` holds plain variables by name: letters, digits and _.")
    if not all(isinstance(value, int | float) or _is_text(value) for value in variables.values()):
        raise Invalid("A variable's value is text.")


def _check_limits(limits: Any) -> None:
    if not isinstance(limits, dict) or not all(isinstance(name, str) for name in limits):
        raise Invalid("`limits` holds numbers by name.")
    try:
        asked = Limits.of(limits)
    except (ValueError, TypeError) as wrong:
        raise Invalid(str(wrong)) from wrong
    for name, most in asdict(CEILING).items():
        if getattr(asked, name) > most:
            raise Invalid(f"limits.{name} may be {most:,} at the most.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not UNFIT.search(value)


def checked_bindings(bindings: list[Any]) -> list[dict[str, Any]]:
    """`[{name, required}]`, cleaned. Raises `Invalid`."""
    kept = []
    for binding in bindings:
        if not isinstance(binding, dict) or not NAME.fullmatch(str(binding.get("name", ""))):
            raise Invalid("A secret binding names a secret in capital letters: {name, required}.")
        kept.append({"name": binding["name"], "required": bool(binding.get("required", True))})
    return kept
