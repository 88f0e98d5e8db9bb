"""Somebody comes into a house: a person by e-mail address, or a bot by name."""

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from houses.agents import RUNTIMES, Agent
from houses.credentials import SignInLink
from houses.places import MEMBER, House, Member
from houses.refusals import Forbidden, Invalid
from houses.titles import one_line


def welcome_person(
    house: House, email: str, *, name: str = "", role: str = MEMBER, by: Agent
) -> tuple[Member, str | None]:
    """The member, and the secret of their first sign-in link if they are new to this installation.

    A link signs in as its person everywhere, so for somebody who was here before there is none.
    """
    Member.objects.require_owner(by)
    address = Agent.objects.normalize_email(email.strip())
    try:
        validate_email(address)
    except ValidationError as wrong:
        raise Invalid("A person is added by an e-mail address.") from wrong
    known = Agent.objects.filter(email__iexact=address).first()
    if known is None and not by.is_operator:
        # Whoever makes an account holds its first link: one that names a stranger's address would be theirs.
        raise Forbidden("Nobody here has that address; an operator of this installation can add new people.")
    person = known or Agent.objects.create_human(one_line(name, 80) or address.partition("@")[0], address)
    member = house.admit(person, role=role, by=by)
    return member, None if known else SignInLink.objects.make(person)


def welcome_bot(house: House, name: str, runtime: str, *, by: Agent) -> Member:
    """A new bot, in this house alone; it comes in by token."""
    Member.objects.require_owner(by)
    name = one_line(name, 80)
    if not name or runtime not in RUNTIMES:
        raise Invalid(f"A bot needs a name and a runtime, which is one of {', '.join(RUNTIMES)}.")
    return house.admit(Agent.objects.create_bot(name, runtime), by=by)
