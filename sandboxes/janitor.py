"""The janitor compares the machines that there are with the rows that there should be, both ways."""

import logging

from django.db import connection

from houses.tenancy import inside
from sandboxes.machines import DEAD, LIVE
from sandboxes.models import Sandbox
from sandboxes.providers import DEFAULT, provider

logger = logging.getLogger(__name__)


def sweep() -> tuple[int, int]:
    """Bury rows without a machine, destroy machines without a living row; returns how many of each."""
    machine = provider(DEFAULT)
    before = _rows()  # a machine that is made meanwhile is not missed among those that were live already
    there = set(machine.list())
    known = _rows()  # and one whose row came meanwhile is nobody's orphan
    gone = [(house, row) for house, row, ref, status in before if status == LIVE and ref not in there]
    for house_id, sandbox_id in gone:
        with inside(house_id):
            Sandbox.objects.live().filter(pk=sandbox_id).bury()
        logger.warning("sandbox %s has no machine any more; its threads resume from its last snapshot", sandbox_id)
    # A pending row's machine carries the row's id, so that it is never taken for an orphan.
    kept = {ref or row for _, row, ref, status in known if status != DEAD}
    orphans = there - kept
    for ref in orphans:
        machine.destroy(ref)
        logger.warning("machine %s belonged to nobody and was destroyed", ref)
    return len(gone), len(orphans)


def _rows() -> list[tuple[str, str, str | None, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT house_id, id, provider_ref, status FROM sandboxes_known() WHERE provider = %s", [DEFAULT]
        )
        return list(cursor.fetchall())
