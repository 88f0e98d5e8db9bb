import signal
import sys
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arbe import sweeps, worker


class Command(BaseCommand):
    """Call every sweep when it is due, until told to stop."""

    help = __doc__ or ""
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            sweeps.run_for_ever(settings.ARBE_SWEEPS)
        except psycopg.OperationalError as loss:
            raise CommandError(f"The database is out of reach: {str(loss).strip().splitlines()[0]}") from loss

    def _stop(self, *_: Any) -> None:
        worker.leave_within(worker.PATIENCE)
        sys.exit(0)
