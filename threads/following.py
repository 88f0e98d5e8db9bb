"""Following a command: get it a machine, start it, bring its output to the stream, write down how it ended.

Claim, act, record: no transaction is open while a machine works, and every record is conditional on the state it
expects. Killed at any line, another worker takes over when the lease runs out: a process is started once (the provider
knows its id), a chunk of output is appended once (the stream server knows its sequence), and the tree is landed once
(a merge that is already there makes no commit).
"""

import logging
import threading
import time

from django.db import close_old_connections, connection

from houses.refusals import Refused
from houses.tenancy import inside
from sandboxes.models import Sandbox
from sandboxes.provider import Exec, Exit, ProviderError
from sandboxes.redaction import Redactor
from sandboxes.style import active_style
from streams.client import Producer, StreamError, streams
from streams.outbox import announce, relay
from threads.commands import CANCELLED, COMPLETED, FAILED, LEASE, Command
from threads.events import CommandOutput, CommandStarted
from threads.keeping import keep
from threads.places import place_of

logger = logging.getLogger(__name__)
AT_ONCE = 64 * 1024  # bytes of one chunk
EVERY = LEASE.total_seconds() / 6  # seconds between two looks at the row
PAUSE = 0.03  # seconds between chunks of a command that prints without end: what gathers meanwhile goes together


def follow_aside(command: Command) -> None:
    """Follow in a thread of this process: a worker has as many commands under way as its machine bears."""
    threading.Thread(target=_follow_here, args=[command], name=f"follow {command.pk}", daemon=True).start()


def _follow_here(command: Command) -> None:
    close_old_connections()
    try:
        follow(command)
    except StreamError:
        logger.warning("the stream of command %s cannot be reached; another worker will go on", command.pk)
    except Exception:  # the edge of this thread: what is not written down is taken over by the sweep
        logger.exception("command %s lost its follower", command.pk)
    finally:
        connection.close()


def follow(command: Command) -> None:
    """From the claim to the rest."""
    try:
        redactor = _begin(command)
        if redactor is None:
            return
        _start(command)
    except Refused as refused:
        _give_up(command, refused.detail)
        return
    except ProviderError as error:
        if error.permanent:  # else the lease runs out and another worker tries
            _give_up(command, error.detail)
        return
    ended = _pour(command, redactor)
    if ended is not None:
        keep(command, ended, *_outcome(command, ended))


def _begin(command: Command) -> Redactor | None:
    """What has to be known before anything starts: is it still wanted, and which words must not be seen."""
    with inside(command.house_id):
        command.refresh_from_db()
        wanted = command.stop_asked_by is None or command.started_at is not None
        values = command.environment.secrets()
    if not wanted:
        _give_up(command, f"Stopped by {command.stop_asked_by} before it began.", CANCELLED)
        return None
    return Redactor({name: value.encode() for name, value in values.items()})


def _start(command: Command) -> None:
    """Resolve the machine, bring its tree up to the branch, and start; nothing of that twice."""
    began = time.monotonic()
    sandbox = place_of(command)
    resolved = time.monotonic()
    if command.started_at is None:
        with sandbox.alone():
            before = _prepare_tree(command, sandbox)
            prepared = time.monotonic()
            with inside(command.house_id):
                if not command.renew():
                    raise Refused("It was stopped before it began.")
                waited = command.note_start(before_tree=before)
                split = {
                    "queue": round(waited - prepared + began, 4),
                    "sandbox": round(resolved - began, 4),
                    "tree": round(prepared - resolved, 4),
                }
                announce(
                    command.thread,
                    CommandStarted(command_id=command.pk, sandbox_id=sandbox.pk, split=split),
                    by=command.agent,
                )
    sandbox.machine.exec(sandbox.ref, _exec(command))


def _prepare_tree(command: Command, sandbox: Sandbox) -> str:
    """The tree that the command will find. In the company of other commands it is taken as it is."""
    with inside(command.house_id):
        repository = command.environment.repository
        company = Command.objects.started_in(sandbox).exclude(pk=command.pk).exists()
    if company:
        return sandbox.look(repository).tree
    sandbox.level(repository)
    sandbox.machine.arm(sandbox.ref)
    assert sandbox.tree is not None
    return sandbox.tree


def _exec(command: Command) -> Exec:
    with inside(command.house_id):
        environment = command.environment
        return Exec(
            process_id=command.pk,
            command=command.text,
            env=environment.variables() | environment.secrets(),
            limits=environment.limits,
            network=bool(environment.config.get("network")),
        )


def _pour(command: Command, redactor: Redactor) -> Exit | None:
    """Bring the output to the stream until the process has ended; None if another worker took over."""
    assert command.sandbox is not None
    machine, ref = command.sandbox.machine, command.sandbox.ref
    style, at = _pour_again(command, redactor), command.pouring
    watched = time.monotonic() - EVERY  # a stop may have been asked for while it was being started
    while True:
        if time.monotonic() - watched >= EVERY:
            if not _still_mine(command):
                return None
            watched = time.monotonic()
        ended = machine.poll(ref, command.pk)
        raw = machine.read(ref, command.pk, at, AT_ONCE)
        last = ended is not None and at + len(raw) >= ended.output_bytes
        consumed, text, hits = redactor.split(raw, final=last)
        if consumed:
            with inside(command.house_id):
                if not command.note_chunk(at + consumed, style=style, hits=hits):
                    return None
            _append(command, text, at, at + consumed, style)
            style, at = active_style(style, text), at + consumed
            if len(raw) < AT_ONCE and not last:
                time.sleep(PAUSE)
        elif ended is not None and (last or not raw):
            return ended
        else:
            machine.wait(ref, command.pk, at + len(raw), timeout=EVERY)


def _pour_again(command: Command, redactor: Redactor) -> str:
    """The chunk that another worker may or may not have brought; returns the style in force after it."""
    if command.pouring == command.poured:
        return command.style
    assert command.sandbox is not None
    size = command.pouring - command.poured
    raw = command.sandbox.machine.read(command.sandbox.ref, command.pk, command.poured, size)
    text = redactor.split(raw, final=True)[1]
    _append(command, text, command.poured, command.pouring, command.style)
    return active_style(command.style, text)


def _still_mine(command: Command) -> bool:
    """Renew the lease, and end the process if somebody asked for that: a lost bell must not keep it running."""
    with inside(command.house_id):
        mine = command.renew()
        command.refresh_from_db(fields=["stop_asked_by"])
    if mine and command.stop_asked_by_id is not None and command.sandbox is not None:
        command.sandbox.machine.stop(command.sandbox.ref, command.pk)
    return mine


def _append(command: Command, text: str, start: int, end: int, style: str) -> None:
    with inside(command.house_id):
        thread = command.thread
    if command.sequence == 0:  # what led to this output comes before it
        relay(command.house_id, thread.stream_id)
    output = CommandOutput(command_id=command.pk, start=start, end=end, text=text, style=style)
    streams().append(
        command.house_id,
        thread.stream_id,
        [{"type": output.kind, "payload": output.payload, "author_agent_id": str(command.agent_id)}],
        Producer(f"command {command.pk}", epoch=0, seq=command.sequence),
    )


def _outcome(command: Command, ended: Exit) -> tuple[str, str]:
    """Status and reason, from how the process ended."""
    with inside(command.house_id):
        command.refresh_from_db(fields=["stop_asked_by"])
        if ended.reason == "stopped" or (command.stop_asked_by and ended.code != 0):
            return CANCELLED, f"Stopped by {command.stop_asked_by or 'arbe'}."
    if ended.reason == "exited":
        return (COMPLETED, "") if ended.code == 0 else (FAILED, "")
    return FAILED, ended.sentence


def _give_up(command: Command, reason: str, status: str = FAILED) -> None:
    with inside(command.house_id):
        mine = Command.objects.unfinished().select_for_update().filter(pk=command.pk).first()
        if mine is not None:
            mine.rest(status, reason=reason, by=mine.stop_asked_by)
