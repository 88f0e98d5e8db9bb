"""`manage.py sign_in_link`: a one-time way in, for whoever can run commands on this machine."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from houses.agents import Agent
from houses.credentials import sign_in_address
from houses.models import SignInLink


class Command(BaseCommand):
    help = "Print a one-time sign-in link for a person, by e-mail address; with --first, for the first owner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="?")
        parser.add_argument("--first", action="store_true", help="for the first owner, while nobody has signed in yet")

    def handle(self, *args: Any, **options: Any) -> None:
        people = Agent.objects.filter(kind="human", is_active=True)
        if options["first"]:
            if people.filter(last_login__isnull=False).exists():
                return
            agent = people.order_by("created_at").first()
        else:
            agent = people.filter(email__iexact=options["email"] or "").first()
        if agent is None:
            raise CommandError("There is nobody with that address.")
        self.stdout.write(sign_in_address(SignInLink.objects.make(agent)))
