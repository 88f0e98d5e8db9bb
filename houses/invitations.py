"""Invitations: a link that lets one person into a house, with their consent.

The link itself is the proof: it was sent to somebody, and whoever holds it may use it, once. One that was made for an
address becomes an account of that address, or is accepted by the account that has it already; no other account can.

Whoever makes an account by a link for anybody types the address themselves, and has not shown that it is theirs. Such
an account opens with that address, until somebody shows theirs by a link that was made for it, or by a provider: they
either sign in to that account, which keeps it then, or say that it is not theirs, and it loses the address to them.
"""

import secrets
from datetime import timedelta
from typing import Any, Self

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned
from houses.credentials import digest
from houses.ids import ShortIdField
from houses.places import House, Member
from houses.refusals import Forbidden, Invalid, Refused
from houses.rights import MEMBER, OWNER, may, require
from houses.scopes import X
from houses.tenancy import current_house, inside
from houses.texts import one_line

INVITATION_LIFE = timedelta(days=7)
LONGEST_ADDRESS = 254  # characters, as mail has it


class NoInvitation(Refused):
    """The link opens nothing, or nothing any more."""

    code = "no_invitation"
    status = 404

    def __init__(self) -> None:
        super().__init__("This invitation was used, taken back or has expired; ask for a new one.")


class NotShown(Invalid):
    """Somebody has that address already, and never showed that it is theirs."""

    code = "address_not_shown"

    def __init__(self, email: str) -> None:
        super().__init__(
            f"There is an account of {email} that came by a link for anybody. If it is yours, sign in to it and open "
            "this invitation again; if it is not, say so below."
        )


def invitation_address(text: str) -> str:
    """The whole link, as it is sent to somebody."""
    return f"{settings.ARBE_URL}{reverse('invitation', args=[text])}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Invitations into the house."""

    def make(self, *, by: Agent, role: str = MEMBER, email: str = "") -> tuple["Invitation", str]:
        """An invitation and its text, which is shown once. For whoever manages the house; owners invite owners."""
        house = House(pk=current_house())
        require(by, X, house)
        if role == OWNER:
            Member.objects.require_owner(by)
        secret = secrets.token_urlsafe(32)
        made = self.create(
            house=house,
            email=address(email) if email.strip() else None,
            role=_known(role),
            digest=digest(secret),
            invited_by=by,
            expires_at=timezone.now() + INVITATION_LIFE,
        )
        return made, f"{house.pk}_{secret}"

    def waiting(self) -> Self:
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=Now())

    @staticmethod
    def read(text: str) -> "Invitation":
        """The invitation behind a link that somebody opened, if it still waits. Raises `NoInvitation`."""
        house_id, _, secret = text.partition("_")
        if not house_id.isalnum() or not secret:
            raise NoInvitation
        with inside(house_id):
            found = Invitation.objects.waiting().select_related("house", "invited_by").filter(digest=digest(secret))
            invitation = found.first()
            if invitation is None or not invitation.stands():
                raise NoInvitation
        return invitation


class Invitation(models.Model):
    """Somebody may come into this house, once, until it expires or is taken back. Kept as a digest."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="invitations")
    email = models.EmailField(null=True, blank=True)  # whom it is meant for, if that was said
    role = models.TextField(choices=[(OWNER, "owner"), (MEMBER, "member")], default=MEMBER)
    digest = models.TextField(unique=True, editable=False)
    invited_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        db_table = "invitations"
        constraints = [
            models.CheckConstraint(
                name="an_invitation_is_to_own_or_to_belong", condition=models.Q(role__in=[OWNER, MEMBER])
            ),
            HouseOwned(name="invitations_stay_in_their_house"),
            Audited(name="invitations_are_audited", hidden=("digest",)),
        ]

    def __str__(self) -> str:
        return f"for {self.email or 'whoever holds it'}"

    def stands(self) -> bool:
        """Whether who invited could still do so: what somebody leaves behind opens nothing."""
        by = self.invited_by
        if by is None or not by.is_active or not may(by, X, self.house):
            return False
        return self.role != OWNER or Member.objects.owners().filter(agent=by).exists()

    def accept(self, *, by: Agent) -> Member:
        """Come in, as oneself; of two who hold the same link, one does. Whoever is in already uses nothing up."""
        if by.is_bot:
            raise Forbidden("An invitation is for a person; a bot is added by name.")
        if self.email and (by.email or "").lower() != self.email.lower():
            raise Forbidden(
                f"This invitation is for {self.email}: sign in with that address, or make an account of it."
            )
        with inside(self.house_id, by):
            mine = Invitation.objects.waiting().filter(pk=self.pk)
            now = mine.select_related("house", "invited_by").first()
            welcome = now is not None and now.stands() and not Member.objects.of(by)
            if welcome and mine.update(accepted_at=Now(), accepted_by=by):
                Member.objects.create(house_id=self.house_id, agent=by, role=self.role)
                if self.email:
                    Agent.objects.filter(pk=by.pk, address_shown=False).update(address_shown=True)
            if member := Member.objects.of(by):
                return member
        raise NoInvitation

    @transaction.atomic
    def accept_as_new(
        self,
        *,
        name: str,
        email: str = "",
        password: str | None = None,
        identity: tuple[str, str] | None = None,
        not_theirs: bool = False,
    ) -> Agent:
        """Come in as somebody who was not here before: the account and the member are made at once, or neither is.

        With an identity, which is a provider and who they are there, they need no address; the one that comes with it
        is one that the provider vouches for. `not_theirs` says so of an account that has the address and never showed
        that it is its own.
        """
        email = self.email or (address(email) if email.strip() or password else "")
        name = one_line(name, 80) or email.partition("@")[0]
        if not name:
            raise Invalid("Say how others shall call you.")
        shown = bool(self.email or identity)
        _require_free(email, shown, not_theirs)
        person = new_person(name, email, address_shown=shown or not email)
        if password:
            person.choose_password(password)
        if identity:
            _connect(person, *identity)
        self.accept(by=person)
        return person

    def revoke(self, *, by: Agent) -> None:
        """Take it back: the link opens nothing any more."""
        require(by, X, self.house)
        Invitation.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=Now())


def address(text: str) -> str:
    """An e-mail address, as it is kept."""
    email = Agent.objects.normalize_email(text.strip())
    try:
        validate_email(email)
    except ValidationError as wrong:
        raise Invalid("This is not an e-mail address, like ada@example.org.") from wrong
    if len(email) > LONGEST_ADDRESS:
        raise Invalid(f"An e-mail address has at most {LONGEST_ADDRESS} characters.")
    return email


def new_person(name: str, email: str, **more: Any) -> Agent:
    """A person who was not here before, even if somebody else says so at this very moment."""
    try:
        with transaction.atomic():
            return Agent.objects.create_human(name, email or None, **more)
    except IntegrityError as taken:
        raise _taken(email) from taken


def _require_free(email: str, shown: bool, not_theirs: bool) -> None:
    other = Agent.objects.filter(email__iexact=email).first() if email else None
    if other is None:
        return
    if other.address_shown or not shown:
        raise _taken(email)
    if not not_theirs:
        raise NotShown(email)
    Agent.objects.filter(pk=other.pk, address_shown=False).update(email=None)


def _connect(person: Agent, provider: str, uid: str) -> None:
    try:
        with transaction.atomic():
            SocialAccount.objects.create(user=person, provider=provider, uid=uid)
    except IntegrityError as known:
        raise Invalid("That identity is somebody's here already: sign in with it.") from known


def _taken(email: str) -> Invalid:
    return Invalid(f"There is an account of {email} already: sign in to it, then open this invitation again.")


def _known(role: str) -> str:
    if role not in (OWNER, MEMBER):
        raise Invalid("A member's role is either owner or member.")
    return role
