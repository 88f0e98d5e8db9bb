from argparse import ArgumentParser
from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from django_rq.queues import get_queues
from rq.serializers import JSONSerializer

from arbe import worker


class Command(BaseCommand):
    """Take jobs from these queues until told to stop."""

    help = __doc__ or ""
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queues", nargs="+", metavar="QUEUE", help="commands, runs: the first named goes first")

    def handle(self, *args: Any, **options: Any) -> None:
        queues = get_queues(*options["queues"])  # type: ignore[no-untyped-call]  # django-rq comes without types
        mine = worker.Worker(queues, connection=queues[0].connection, serializer=JSONSerializer)
        _warm_up()
        mine.work(logging_level="WARNING")
        worker.leave()


def _warm_up() -> None:
    """So that the first job does not wait for what can be done before it comes."""
    import_module("threads.jobs")
    connection.ensure_connection()
