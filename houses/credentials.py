"""How agents come in: tokens for bots and command lines, one-time links for people."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from houses.agents import Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House, Member
from houses.refusals import Forbidden, Refused
from houses.tenancy import current_house, inside
from houses.titles import one_line

PREFIX = "arbe_"
TOKEN_LIFE = timedelta(days=90)
LINK_LIFE = timedelta(hours=24)
ANOTHER = "make another one: people under their name, for bots under Settings → Members."


class BadToken(Refused):
    """The token does not open this door."""

    code = "bad_token"
    status = 401


class ExpiredToken(Refused):
    """The token was right once."""

    code = "expired_token"
    status = 401


def sign_in_address(secret: str) -> str:
    """The whole link, as it is sent to somebody."""
    return f"{settings.ARBE_URL}{reverse('sign_in_link', args=[secret])}"


def digest(secret: str) -> str:
    """What is kept of a secret of 32 random bytes; it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


class TokenQuerySet(models.QuerySet["Token"]):
    """Tokens of the house."""

    def mint(self, agent: Agent, name: str, *, by: Agent, expires_at: datetime | None = None) -> tuple["Token", str]:
        """A token and its text, which is shown once. Owners mint for bots, everybody for themselves."""
        if by.pk != agent.pk:
            Member.objects.require_owner(by)
        if agent.pk != by.pk and not agent.is_bot:
            raise Forbidden("A token speaks for whoever holds it: people make their own.")
        secret = secrets.token_urlsafe(32)
        token = self.create(
            house_id=current_house(),
            agent=agent,
            name=one_line(name) or "token",
            digest=digest(secret),
            expires_at=expires_at or timezone.now() + TOKEN_LIFE,
        )
        return token, f"{PREFIX}{current_house()}_{secret}"

    def live(self) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=Now())

    @staticmethod
    def holds(house_id: str, token_id: str) -> bool:
        """Whether a token that opened this house still does."""
        with inside(house_id):
            return Token.objects.live().filter(pk=token_id).exists()

    @staticmethod
    def read(text: str) -> "Token":
        """The token behind a text somebody sent. Raises `BadToken` or `ExpiredToken`."""
        house_id, _, secret = text.removeprefix(PREFIX).partition("_")
        if not text.startswith(PREFIX) or not secret or not house_id.isalnum():
            raise BadToken(
                "This is not one of arbe's tokens; make one under your name, or for a bot under Settings → Members."
            )
        with inside(house_id):
            token = Token.objects.select_related("agent", "house").filter(digest=digest(secret)).first()
            if token is None or token.revoked_at or not token.agent.is_active or not Member.objects.of(token.agent):
                raise BadToken(f"This token is not known here, or was revoked; {ANOTHER}")
            if token.expires_at <= timezone.now():
                raise ExpiredToken(f"This token has expired; {ANOTHER}")
            token.touch()
        return token


class Token(models.Model):
    """Speaks for one agent in one house, until it expires or is revoked."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="tokens")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="tokens")
    name = models.TextField()
    digest = models.TextField(unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        db_table = "tokens"
        constraints = [
            SameHouse(
                name="a_token_is_a_members",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            HouseOwned(name="tokens_stay_in_their_house"),
        ]

    def __str__(self) -> str:
        return self.name

    def touch(self) -> None:
        """Remember the use, at most once a minute: this is on the path of every request."""
        if self.last_used_at is None or self.last_used_at < timezone.now() - timedelta(minutes=1):
            Token.objects.filter(pk=self.pk).update(last_used_at=Now())

    def revoke(self, *, by: Agent) -> None:
        """Whoever holds it is out. Owners revoke any token of the house, operators any at all, everybody their own."""
        if by.pk != self.agent_id and not by.is_operator:
            Member.objects.require_owner(by)
        Token.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=Now())


class SignInLinks(models.Manager["SignInLink"]):
    """One-time links, kept as digests."""

    def make(self, agent: Agent) -> str:
        """The secret part of a link that signs a person in, once, within a day."""
        if agent.is_bot:
            raise Forbidden("A bot comes in by token; sign-in links are for people.")
        secret = secrets.token_urlsafe(32)
        self.create(agent=agent, digest=digest(secret), expires_at=timezone.now() + LINK_LIFE)
        return secret

    def make_again(self, agent: Agent, *, by: Agent) -> str:
        """Another link for somebody who lost theirs. For operators: whoever holds it is that person, everywhere."""
        if not by.is_operator:
            raise Forbidden("Only an operator of this installation can make another sign-in link for somebody.")
        return self.make(agent)

    def waiting(self, secret: str) -> "SignInLink | None":
        return self.filter(digest=digest(secret), used_at=None, expires_at__gt=Now()).select_related("agent").first()

    def use(self, secret: str) -> Agent:
        """Whoever the link is for; it is used up. Raises `BadToken`."""
        used = self.filter(digest=digest(secret), used_at=None, expires_at__gt=Now()).update(used_at=Now())
        link = self.filter(digest=digest(secret)).select_related("agent").first()
        if not used or link is None or not link.agent.is_active:
            raise BadToken("This sign-in link was used or has expired; ask for a new one.")
        return link.agent


class SignInLink(models.Model):
    """A way in for a person without a password. Global, like the agent it belongs to."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="sign_in_links")
    digest = models.TextField(unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, editable=False)

    objects = SignInLinks()

    class Meta:
        db_table = "sign_in_links"

    def __str__(self) -> str:
        return f"for {self.agent_id}"
