"""What was seen of a command while it was followed, for the signal told at its rest. Never what it printed."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from houses.agents import Agent
from houses.measures import COMMAND_SECONDS, COMMANDS, REDACTIONS
from sandboxes.provider import Exit
from streams.signals import CommandWitnessed, FailureWitnessed, MakeWitnessed, witness

if TYPE_CHECKING:
    from threads.commands import Command
    from threads.makes import Make

LIVE, MADE, RESUMED = "live", "made", "resumed"  # a machine that was there, a new one, one for a dead one's tree


@dataclass
class Figures:
    """Known to the worker that started it; one that took over knows less."""

    queue: float | None = None
    sandbox: float | None = None
    tree: float | None = None
    first_output: float | None = None
    machine: str = ""
    exit: Exit | None = None


def tell_command(command: "Command", *, by: Agent) -> None:
    """It rests; the signal follows its commit."""
    seen, redactions = command.figures, sum(command.redactions.values())
    transaction.on_commit(partial(_count, command.status, command.seconds, redactions))
    signal = CommandWitnessed(
        command_id=command.pk,
        thread_id=command.thread_id,
        make_id=command.make_id,
        status=command.status,
        queue=seen.queue,
        sandbox=seen.sandbox,
        tree=seen.tree,
        first_output=seen.first_output,
        attempts=command.attempts,
        machine=seen.machine,
        seconds=round(command.seconds, 3),
        cpu_seconds=seen.exit.cpu_seconds if seen.exit else None,
        memory_bytes=seen.exit.memory_bytes if seen.exit else None,
        output_bytes=seen.exit.output_bytes if seen.exit else command.pouring,
        redactions=redactions,
    )
    witness(command.house_id, signal, by=by)


def _count(status: str, seconds: float, redactions: int) -> None:
    COMMANDS.labels(status).inc()
    COMMAND_SECONDS.observe(seconds)
    REDACTIONS.inc(redactions)


def note_first_output(command: "Command") -> None:
    """It has just reached its stream."""
    command.figures.first_output = round((timezone.now() - command.created_at).total_seconds(), 4)


def tell_make(make: "Make", *, ran: int, spared: int, by: Agent) -> None:
    seconds = ((make.finished_at or timezone.now()) - make.created_at).total_seconds()
    signal = MakeWitnessed(
        make_id=make.pk,
        thread_id=make.thread_id,
        status=make.status,
        seconds=round(seconds, 3),
        ran=ran,
        spared=spared,
    )
    witness(make.house_id, signal, by=by)


def tell_failure(command: "Command", part: str, *, again: bool) -> None:
    """A part of the machinery failed it: its sandbox, its stream, or the worker that followed it."""
    signal = FailureWitnessed(part=part, command_id=command.pk, thread_id=command.thread_id, again=again)
    witness(command.house_id, signal, by=command.agent)
