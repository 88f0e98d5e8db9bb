import os
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arbe.up import Place, Up


class Command(BaseCommand):
    """Run all of arbe on this machine until Ctrl-C."""

    help = __doc__ or ""
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default="127.0.0.1", help="the address to answer on (default: this machine alone)"
        )
        parser.add_argument("--port", type=int, default=8000, help="the port to answer on (default: 8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        place = Place(var=settings.ARBE_VAR, host=options["host"], port=options["port"])
        try:
            Up(place, os.environ).run()
        except (RuntimeError, OSError, psycopg.Error) as refusal:
            raise CommandError(str(refusal)) from refusal
