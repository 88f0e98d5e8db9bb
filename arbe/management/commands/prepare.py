from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from arbe import private_files


class Command(BaseCommand):
    """Bring the tables up to date, seed an empty installation, and make the first owner's sign-in link."""

    help = __doc__ or ""
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--link-to", type=Path, required=True, help="the file that gets the link, if there is one")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", database="owner", verbosity=0)
        call_command("first_visit", stdout=self.stdout)
        link = StringIO()
        call_command("sign_in_link", first=True, stdout=link)
        private_files.write(options["link_to"], link.getvalue().strip())
