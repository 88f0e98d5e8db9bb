"""Agents: any actor, human or bot. Global, not of a house; Django's user model."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.contrib.postgres.functions import RandomUUID
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from houses.audit import Audited
from houses.refusals import Invalid
from houses.tenancy import current_house
from houses.texts import one_line

HUMAN, BOT = "human", "bot"
RUNTIMES = ("pi", "claude-code", "codex", "chat")


class Agents(BaseUserManager["Agent"]):
    """Who can act."""

    def here(self) -> "models.QuerySet[Agent]":
        """The members of the house we are inside of."""
        return self.filter(memberships__house_id=current_house())

    def bots(self) -> "models.QuerySet[Agent]":
        """Of those the bots, also those who were shut out of this installation."""
        return self.here().filter(kind=BOT)

    def create_human(self, name: str, email: str | None = None, password: str | None = None, **extra: Any) -> "Agent":
        """A person. Without a password they come in by a sign-in link."""
        agent = self.model(kind=HUMAN, name=name, email=email.lower() if email else None, **extra)
        agent.set_password(password)
        agent.save(using=self._db)
        return agent

    def create_bot(self, name: str, runtime: str) -> "Agent":
        """A bot names its runtime; it comes in by token alone."""
        agent = self.model(kind=BOT, name=name, runtime=runtime)
        agent.set_unusable_password()
        agent.save(using=self._db)
        return agent

    def create_superuser(self, email: str, password: str, name: str = "Operator") -> "Agent":
        """An operator of this installation (Django's `createsuperuser`)."""
        return self.create_human(name, email, password, is_operator=True)


class Agent(AbstractBaseUser):
    """Somebody who says things and does things: a person or a bot."""

    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    kind = models.TextField(choices=[(HUMAN, "person"), (BOT, "bot")])
    runtime = models.TextField(null=True, blank=True, choices=[(name, name) for name in RUNTIMES])
    name = models.TextField(null=True)
    email = models.EmailField(null=True, blank=True, unique=True)
    # The database fills these in, so that the other columns are all that an agent needs.
    address_shown = models.BooleanField(default=True, db_default=True, editable=False)  # that it is theirs
    password = models.CharField(max_length=128, db_default="")
    is_active = models.BooleanField(default=True, db_default=True)
    is_operator = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # Not columns: what the credential that this agent came in with lets through; the thread that it keeps them in, if
    # it is that of a run; and whether they act through the operators' admin, which looks everywhere. Whoever loads an
    # agent by id has none of that.
    cap: str = "rwx"
    within: str = ""
    calls: bool = False  # the tools that it has x on, although what it came in with has no x: a run's agent works
    oversees: bool = False

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = Agents()

    class Meta:
        db_table = "agents"
        constraints = [
            models.CheckConstraint(name="an_agent_is_human_or_bot", condition=Q(kind__in=[HUMAN, BOT])),
            models.CheckConstraint(name="humans_have_no_runtime", condition=Q(kind=BOT) | Q(runtime=None)),
            models.CheckConstraint(name="bots_name_a_runtime", condition=~Q(kind=BOT) | Q(runtime__isnull=False)),
            models.UniqueConstraint(
                Lower("email"),
                name="one_agent_per_address",
                violation_error_message="There is an account of this address already.",
            ),
            Audited(name="agents_are_audited", hidden=("password",), ignored=("last_login",)),
        ]

    def __str__(self) -> str:
        return self.name or self.email or str(self.pk)

    @property
    def is_bot(self) -> bool:
        return self.kind == BOT

    @property
    def is_operating(self) -> bool:
        """An operator who came in by more than a token of fewer bits: only then do their powers count."""
        return self.is_operator and "x" in self.cap

    # What Django's admin asks of a user: operators may look everywhere.
    @property
    def is_staff(self) -> bool:
        return self.is_operator

    # What guardian asks of a user: nobody is above the grants, and they are given to agents alone.
    is_superuser = False

    @property
    def groups(self) -> "models.QuerySet[Group]":
        return Group.objects.none()

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and self.is_operator

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_operator

    def signature(self) -> tuple[str, str]:
        """Name and address for a git commit, from which the agent can be found again."""
        return str(self), f"{self.pk}@arbe"

    def rename(self, name: str) -> None:
        """Be called something else; an empty name changes nothing."""
        self.name = one_line(name, 80) or self.name
        self.save(update_fields=["name"])

    def choose_password(self, password: str) -> None:
        """Come in by a password from now on; a poor one is refused."""
        try:
            validate_password(password, self)
        except ValidationError as wrong:
            raise Invalid(" ".join(wrong.messages)) from wrong
        self.set_password(password)
        self.save(update_fields=["password"])

    def deactivate(self) -> None:
        """Out of every house at once; what they said and made stays theirs."""
        Agent.objects.filter(pk=self.pk).update(is_active=False)

    def reactivate(self) -> None:
        Agent.objects.filter(pk=self.pk).update(is_active=True)


def signed(address: str) -> uuid.UUID | None:
    """The id of the agent whose commit carries this address; None for a commit from elsewhere."""
    try:
        return uuid.UUID(address.removesuffix("@arbe"))
    except ValueError:
        return None
