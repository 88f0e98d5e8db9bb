"""Somebody comes into a house: a person by e-mail address, or a bot by name."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from houses.agents import RUNTIMES, Agent
from houses.bots import Bot
from houses.credentials import SignInLink, sign_in_address
from houses.invitations import Invitation, address, invitation_address, new_person
from houses.places import House, Member
from houses.refusals import Invalid
from houses.rights import MEMBER, require
from houses.scopes import X
from houses.texts import one_line


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """How somebody comes in: they are in already, perhaps with a link for their first time, or they have to accept."""

    member: Member | None = None
    sign_in_link: str | None = None
    invitation_link: str | None = None


def welcome_person(house: House, email: str, *, name: str = "", role: str = MEMBER, by: Agent) -> Welcome:
    """Let a person in, or invite them.

    An operator makes accounts, and adds whom they make in that moment, with a link to come in by. Everybody else is
    invited: nobody is put into a house unasked, nobody learns who else is here, and whoever made an account of an
    address that is not theirs gets nothing by it.
    """
    require(by, X, house)
    email = address(email)
    if not by.is_operating or Agent.objects.filter(email__iexact=email).exists():
        _, text = Invitation.objects.make(by=by, role=role, email=email)
        return Welcome(invitation_link=invitation_address(text))
    person = new_person(one_line(name, 80) or email.partition("@")[0], email)
    member = house.admit(person, role=role, by=by)
    return Welcome(member=member, sign_in_link=sign_in_address(SignInLink.objects.make(person)))


def welcome_bot(house: House, name: str, runtime: str, *, by: Agent) -> Member:
    """A new bot, in this house alone; it comes in by token."""
    require(by, X, house)
    name = one_line(name, 80)
    if not name or runtime not in RUNTIMES:
        raise Invalid(f"A bot needs a name and a runtime, which is one of {', '.join(RUNTIMES)}.")
    return house.admit(Agent.objects.create_bot(name, runtime), by=by)


@transaction.atomic
def welcome_bot_set_up(house: House, name: str, runtime: str, *, by: Agent, **settings: Any) -> Bot:
    """The same, and how it thinks, as `Bot.objects.set_up` has it; if that is refused, nobody came."""
    return Bot.objects.set_up(welcome_bot(house, name, runtime, by=by).agent, by=by, **settings)
