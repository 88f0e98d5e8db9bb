import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from arbe import metrics

ENDS = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    """Serve what every process counted, at ARBE_METRICS, for Prometheus to fetch."""

    help = __doc__ or ""
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.METRICS:
            raise CommandError("Say where: ARBE_METRICS=127.0.0.1:9464.")
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # in the threads that answer, too: this one waits for them
        try:
            metrics.serve(settings.METRICS, settings.ARBE_VAR / "metrics")
        except (ValueError, OSError) as refusal:
            raise CommandError(str(refusal)) from refusal
        signal.sigwait(ENDS)
