"""Tokens of runs that rest: each ends with its run, and whatever was left behind ends here."""

import logging
from collections import defaultdict

from houses import run_tokens
from houses.tenancy import inside
from threads.models import Command

logger = logging.getLogger(__name__)


def sweep() -> int:
    """End the tokens of runs that are over, or gone with their thread; returns how many."""
    going = defaultdict(set)
    for house_id, run in run_tokens.going():
        going[house_id].add(run)
    count = 0
    for house_id, runs in going.items():
        with inside(house_id):
            runs -= set(Command.objects.unfinished().filter(pk__in=runs).values_list("pk", flat=True))
        count += run_tokens.end_in(house_id, sorted(runs)) if runs else 0
    if count:
        logger.warning("%d tokens of runs that rest were still alive", count)
    return count
