from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
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
        queues = get_queues(*options["queues"])  # type: ignore[no-untyped-call]
        mine = worker.Worker(queues, connection=queues[0].connection, serializer=JSONSerializer)
        mine.work(logging_level="WARNING")
        worker.leave()
