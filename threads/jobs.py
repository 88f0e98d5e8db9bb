"""What answers the doorbell: jobs that claim a row, and the sweep that rings again for whoever never came."""

import logging
from collections import defaultdict

from django.db import connection

from houses import run_tokens
from houses.tenancy import inside
from threads.following.commands import follow_aside
from threads.models import Answer, Command, Make
from threads.queues import ring_answer, ring_command, ring_make

logger = logging.getLogger(__name__)


def drive(house_id: str, command_id: str) -> None:
    """Have a command followed, in a thread of this worker."""
    follow_aside(house_id, command_id)


def stop(house_id: str, command_id: str) -> None:
    """End the process of a command whose stop was asked for; its follower writes down that it ended."""
    with inside(house_id):
        command = Command.objects.unfinished().select_related("sandbox").filter(pk=command_id).first()
    if command is not None:
        command.end_process()


def answer(house_id: str, answer_id: str) -> None:
    """Have a bot answer, in a thread of this worker."""
    from threads.answering.aside import answer_aside  # libraries of models take a second: whoever answers waits for it

    answer_aside(house_id, answer_id)


def advance(house_id: str, make_id: str) -> None:
    """Start whatever step of a make is ready now, or finish it."""
    with inside(house_id):
        make = Make.objects.filter(pk=make_id).first()
        if make is not None:
            with inside(house_id, make.agent_id):  # whoever asked for it does what follows from that
                make.advance()


def sweep() -> None:
    """Ring again for commands and answers that wait, or whose worker died, and for makes that nobody advances."""
    _sweep_answers()
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, house_id, id FROM work_adrift()")
        adrift = cursor.fetchall()
    for kind, house_id, row_id in adrift:
        with inside(house_id):
            is_run = kind == "command" and Command.objects.runs().filter(pk=row_id).exists()
            (Command.objects if kind == "command" else Make.objects).rung(row_id)
        if kind == "command":
            ring_command(house_id, row_id, is_run=is_run)
        else:
            ring_make(house_id, row_id)


def _sweep_answers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT house_id, id FROM answers_adrift()")
        adrift = cursor.fetchall()
    for house_id, answer_id in adrift:
        with inside(house_id):
            Answer.objects.rung(answer_id)
        ring_answer(house_id, answer_id)


def sweep_tokens() -> int:
    """End the tokens of runs that are over, or gone with their thread; returns how many were left behind."""
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
