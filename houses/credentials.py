"""How agents come in: tokens for bots and command lines, one-time links for people."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House, Member
from houses.refusals import Forbidden, Invalid, Refused
from houses.rights import here, may
from houses.scopes import ALL, X, as_bits
from houses.standing import require_x
from houses.tenancy import current_house, inside
from houses.texts import one_line

PREFIX = "arbe_"
TOKEN_LIFE, LONGEST_LIFE = timedelta(days=90), timedelta(days=365)
GRACE = timedelta(hours=1)  # for which a token that was replaced may go on, at the most
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


def text_of(secret: str) -> str:
    """A token as its holder sends it, of the house we are inside of."""
    return f"{PREFIX}{current_house()}_{secret}"


def digest(secret: str) -> str:
    """What is kept of a secret of 32 random bytes; it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


class TokenQuerySet(models.QuerySet["Token"]):
    """Tokens of the house."""

    def mint(
        self,
        agent: Agent,
        name: str,
        *,
        by: Agent,
        bits: str | None = None,
        expires_at: datetime | None = None,
        asked_with: "Token | None" = None,
    ) -> tuple["Token", str]:
        """A token and its text, which is shown once. Who has x on the house mints for bots, everybody for themselves.

        It may do what `bits` say, at the most what the one who mints may; and it ends with the token that asked.
        """
        _require_to_speak_for(agent, by)
        bits = by.cap if bits is None else bits
        _require_no_more(bits, by, asked_with)
        secret = secrets.token_urlsafe(32)
        token = self.create(
            house_id=current_house(),
            agent=agent,
            name=one_line(name) or "token",
            digest=digest(secret),
            bits=bits,
            created_by=by,
            expires_at=_end(expires_at or timezone.now() + TOKEN_LIFE, asked_with),
        )
        return token, text_of(secret)

    def live(self) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=Now())

    def lasting(self) -> Self:
        """Those that somebody made, without those that come and go with a run."""
        return self.filter(run="")

    def known_to(self, agent: Agent) -> Self:
        """An agent's own; and of the whole house, for whoever manages it."""
        everybody = may(agent, X, here())
        return self.lasting() if everybody else self.lasting().filter(agent=agent)

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
    bits = models.TextField(default=ALL, db_default=ALL)  # it may do no more than these, whatever its agent may
    run = models.TextField(default="", db_default="", blank=True, editable=False)  # the command it was minted for
    run_thread = models.TextField(default="", db_default="", blank=True, editable=False)  # it sees no thread outside of
    calls = models.BooleanField(default=False, db_default=False, editable=False)  # tools, although it has no x
    created_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    replaced_at = models.DateTimeField(null=True, editable=False)  # by another one; it may go on for a while

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
            models.UniqueConstraint(name="one_token_per_run", fields=["house", "run"], condition=~Q(run="")),
            HouseOwned(name="tokens_stay_in_their_house"),
            Audited(name="tokens_are_audited", hidden=("digest",), ignored=("last_used_at",)),
        ]
        indexes = [
            models.Index(name="tokens_of_going_runs", fields=["expires_at"], condition=~Q(run="") & Q(revoked_at=None))
        ]

    def __str__(self) -> str:
        return self.name

    def bearer(self) -> Agent:
        """Its agent, who may no more than it does and sees no more than its run."""
        self.agent.cap, self.agent.within, self.agent.calls = self.bits, self.run_thread, self.calls
        return self.agent

    def touch(self) -> None:
        """Remember the use, at most once a minute: this is on the path of every request."""
        if self.last_used_at is None or self.last_used_at < timezone.now() - timedelta(minutes=1):
            Token.objects.filter(pk=self.pk).update(last_used_at=Now())

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()

    @transaction.atomic
    def rotate(
        self, *, by: Agent, grace: timedelta = timedelta(0), asked_with: "Token | None" = None
    ) -> tuple["Token", str]:
        """Another token in the place of this one, for as long again; this one ends at once, or after a while."""
        if not timedelta(0) <= grace <= GRACE:
            raise Invalid("The old token may go on for an hour at the most.")
        old = Token.objects.select_for_update().get(pk=self.pk)
        if not old.is_live or old.run:
            raise Invalid("This token has ended; make another one.")
        if old.replaced_at:
            raise Invalid("Another token stands in the place of this one already; rotate that one.")
        life = old.expires_at - old.created_at
        new, text = Token.objects.mint(
            old.agent, old.name, by=by, bits=old.bits, expires_at=timezone.now() + life, asked_with=asked_with
        )
        ends = {"expires_at": min(old.expires_at, timezone.now() + grace)} if grace else {"revoked_at": Now()}
        Token.objects.filter(pk=old.pk).update(replaced_at=Now(), **ends)
        return new, text

    def revoke(self, *, by: Agent, asked_with: "Token | None" = None) -> None:
        """Whoever holds it is out. With x on the house any token of it, operators any at all, everybody their own."""
        if by.pk != self.agent_id and not by.is_operating:
            require_x(by)
        _require_no_more(self.bits, by, asked_with)
        Token.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=Now())


def _require_to_speak_for(agent: Agent, by: Agent) -> None:
    if by.pk == agent.pk:
        return
    require_x(by)
    if not agent.is_bot:
        raise Forbidden("A token speaks for whoever holds it: people make their own.")


def _require_no_more(bits: str, by: Agent, asked_with: Token | None) -> None:
    """Whoever came in with a token has no power over one that may do more; and that of a run has none over any."""
    if not bits or as_bits(bits) != bits:
        raise Invalid("What a token may do is some of r, w and x, in that order.")
    if asked_with is not None and asked_with.run:
        raise Forbidden("The token of a run makes and ends no tokens; it goes when the run rests.")
    if not by.oversees and not set(bits) <= set(by.cap):
        raise Forbidden(f"The token that asks may only {by.cap}; it has no power over one that may {bits}.")


def _end(asked: datetime, asked_with: Token | None) -> datetime:
    if asked > timezone.now() + LONGEST_LIFE + timedelta(minutes=1):
        raise Invalid("A token lives for a year at the most.")
    return min(asked, asked_with.expires_at) if asked_with is not None else asked


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
        if not by.is_operating:
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
