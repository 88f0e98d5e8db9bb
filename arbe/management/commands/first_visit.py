"""`manage.py first_visit`: an empty installation gets a house to look at."""

import logging
from typing import Any

from django.core.management.base import BaseCommand

from arbe.first_visit import seed


class Command(BaseCommand):
    help = "Seed the house Demo, once, if there is nobody here yet."

    def handle(self, *args: Any, **options: Any) -> None:
        # The web process is not there yet: its events wait, as they should, and there is nothing to warn of.
        logging.getLogger("streams.outbox").setLevel(logging.ERROR)
        if seed():
            self.stdout.write("Seeded the house Demo.")
