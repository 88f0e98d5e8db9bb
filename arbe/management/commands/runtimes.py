from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sandboxes import pins, runtimes


class Command(BaseCommand):
    """Say which agents' programs are installed (`runtimes`), or install them (`runtimes install [NAME…]`).

    They are exactly the versions that arbe knows, come from the npm registry, and are kept only if their contents are
    what arbe knows; sandboxes see them read-only. What is installed is left as it is.
    """

    requires_system_checks = ()
    help = " ".join((__doc__ or "").split())

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=["install"])
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(pins.AGENTS)}; all if none")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] is None:
            self._list()
            return
        try:
            for name in options["names"] or pins.AGENTS:
                runtimes.install(name, say=self._say)
        except runtimes.NotInstalled as no:
            raise CommandError(str(no)) from no

    def _list(self) -> None:
        for name, program in pins.PROGRAMS.items():
            state = "installed" if runtimes.installed(name) else "not installed"
            self.stdout.write(f"{name:12} {program.version:10} {state}")
        self.stdout.write(f"in {settings.RUNTIMES}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
