"""Following a command: get it a machine, start it, bring its output to the stream, write down how it ended.

Claim, act, record: no transaction is open while a machine works, and every record is conditional on the state it
expects. Killed at any line, another worker takes over when the lease runs out: a process is started once (the provider
knows its id), a chunk of output is appended once (the stream server knows its sequence), and the tree is landed once
(a merge that is already there makes no commit).
"""

import logging
import threading
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import close_old_connections, connection

from houses.refusals import Refused
from houses.tenancy import acting, inside, need_not_last
from sandboxes.provider import Exit, ProviderError
from sandboxes.redaction import Redactor
from streams.client import Producer, StreamError, streams
from streams.outbox import is_behind, relay
from threads.commands import Command
from threads.events import CommandOutput
from threads.followed import CANCELLED, COMPLETED, FAILED, MOST_ATTEMPTS
from threads.following.driving import Drive
from threads.following.holding import EVERY, held, still_mine
from threads.following.keeping import keep, keep_run
from threads.following.starting import start
from threads.following.style import active_style
from threads.leaving import leave
from threads.rights import NoLongerAllowed
from threads.witnessing import note_first_output, tell_failure

logger = logging.getLogger(__name__)
AT_ONCE = 64 * 1024  # bytes of one chunk
PAUSE = 0.03  # seconds between chunks of a command that prints without end: what gathers meanwhile goes together
COMMANDS = -1  # where runs have their depth
PLACES: dict[int, threading.BoundedSemaphore] = {}  # by one worker; the rest wait as rows


def follow_aside(house_id: str, command_id: str) -> None:
    """Claim a command and follow it in a thread of this process. Without a place to spare it waits for the sweep."""
    places = _places_for(house_id, command_id)
    if places.acquire(blocking=False):
        name = f"follow {command_id}"
        threading.Thread(target=_follow_here, args=[house_id, command_id, places], name=name, daemon=True).start()


def _places_for(house_id: str, command_id: str) -> threading.BoundedSemaphore:
    """A run may wait for commands and for deeper runs: were their places the same, those who wait could have all."""
    with inside(house_id):
        level = Command.objects.runs().filter(pk=command_id).values_list("depth", flat=True).first()
    return PLACES.setdefault(
        COMMANDS if level is None else level, threading.BoundedSemaphore(settings.FOLLOWED_AT_ONCE)
    )


def _follow_here(house_id: str, command_id: str, places: threading.BoundedSemaphore) -> None:
    close_old_connections()
    try:
        with inside(house_id):
            need_not_last()  # forgotten before anything started, it is claimed again
            command = Command.objects.claim(command_id)
        if command is not None:
            follow(command)
    except StreamError:
        logger.warning("the stream of command %s cannot be reached; another worker will go on", command_id)
    except Exception:  # the edge of this thread: what is not written down is taken over by the sweep
        logger.exception("command %s lost its follower", command_id)
    finally:
        connection.close()
        places.release()


def follow(command: Command) -> None:
    """From the claim to the rest, for whoever asked for it."""
    with acting(command.agent_id), held(command):
        _see_through(command)


def _see_through(command: Command) -> None:
    try:
        if command.attempts > MOST_ATTEMPTS:
            tell_failure(command, "worker", again=False)
            raise Refused(f"arbe failed to run it, {MOST_ATTEMPTS} times; its operator finds the reason in the log.")
        redactor = Redactor({name: value.encode() for name, value in start(command).items()})
        _follow_to_the_end(command, redactor)
    except Refused as refused:
        _give_up(command, refused.detail, CANCELLED if isinstance(refused, NoLongerAllowed) else FAILED, refused.code)
    except StreamError as error:
        tell_failure(command, "stream", again=True)
        if not error.permanent:  # the server is away for a while: nobody could have followed it
            with inside(command.house_id):
                command.uncount()
        raise
    except ProviderError as error:
        tell_failure(command, "sandbox", again=not error.permanent)
        if error.permanent:  # else the lease runs out and another worker tries
            _give_up(command, error.detail, FAILED, "sandbox")


def _follow_to_the_end(command: Command, redactor: Redactor) -> None:
    """A run by what its agent says, any other command by how it ended; nothing if another worker took over."""
    if command.is_run:
        rest = Drive(command, redactor).follow()
        if rest is not None:
            keep_run(command, *rest)
        return
    ended = _pour(command, redactor)
    if ended is not None:
        keep(command, ended, *_outcome(ended))


def _pour(command: Command, redactor: Redactor) -> Exit | None:
    """Bring the output to the stream until the process has ended; None if another worker took over."""
    assert command.sandbox is not None
    machine, ref = command.sandbox.machine, command.sandbox.ref
    style, at = _pour_again(command, redactor), command.pouring
    watched = time.monotonic() - EVERY  # a stop may have been asked for while it was being started
    while True:
        if time.monotonic() - watched >= EVERY:
            if not still_mine(command):
                return None
            watched = time.monotonic()
        ended = machine.poll(ref, command.pk)
        piece = _next_piece(command, redactor, at, ended)
        if piece.size:
            if not _note_chunk(command, at + piece.size, style, piece.hits):
                return None
            _append(command, piece.text, at, at + piece.size, style)
            if command.sequence == 0:
                note_first_output(command)
            style, at = active_style(style, piece.text), at + piece.size
            time.sleep(0 if piece.is_full or ended is not None else PAUSE)
        elif ended is not None:
            return ended
        else:
            close_old_connections()  # it may take long, and others have use for the connection
            machine.wait(ref, command.pk, at + piece.waiting, timeout=EVERY)


@dataclass(frozen=True)
class _Piece:
    """Output that can be shown: `size` bytes as text; `waiting` bytes were read in all."""

    size: int
    text: str
    hits: dict[str, int]
    waiting: int
    is_full: bool


def _next_piece(command: Command, redactor: Redactor, at: int, ended: Exit | None) -> _Piece:
    assert command.sandbox is not None
    machine, ref, most = command.sandbox.machine, command.sandbox.ref, AT_ONCE
    while True:
        raw = machine.read(ref, command.pk, at, most)
        last = ended is not None and (at + len(raw) >= ended.output_bytes or not raw)
        size, text, hits = redactor.split(raw, final=last)
        is_full = len(raw) == most
        if size or not is_full:
            return _Piece(size, text, hits, len(raw), is_full)
        most *= 2  # all of it may be the beginning of a secret that is longer


def _pour_again(command: Command, redactor: Redactor) -> str:
    """The chunk that another worker may or may not have brought; returns the style in force after it."""
    if command.pouring == command.poured:
        return command.style
    assert command.sandbox is not None
    size = command.pouring - command.poured
    raw = command.sandbox.machine.read(command.sandbox.ref, command.pk, command.poured, size)
    text = redactor.split(raw, final=True)[1]
    relay(command.house_id, command.thread.stream_id)
    _append(command, text, command.poured, command.pouring, command.style)
    return active_style(command.style, text)


def _note_chunk(command: Command, end: int, style: str, hits: dict[str, int]) -> bool:
    """Rows first, then the stream; and what led to the first output comes before it."""
    with inside(command.house_id):
        mine = command.note_chunk(end, style=style, hits=hits)
        behind = mine and command.sequence == 0 and is_behind(command.thread.stream_id)
    if behind:
        relay(command.house_id, command.thread.stream_id)
    return mine


def _append(command: Command, text: str, start: int, end: int, style: str) -> None:
    output = CommandOutput(command_id=command.pk, start=start, end=end, text=text, style=style)
    streams().append(
        command.house_id,
        command.thread.stream_id,
        [{"type": output.kind, "payload": output.payload, "author_agent_id": str(command.agent_id)}],
        Producer(f"command {command.pk}", epoch=0, seq=command.sequence),
    )


def _outcome(ended: Exit) -> tuple[str, str]:
    """Status and reason, from how the process ended, as far as nobody wanted it to end."""
    if ended.reason == "stopped":
        return CANCELLED, "Stopped by arbe."
    if ended.reason == "exited":
        return (COMPLETED, "") if ended.code == 0 else (FAILED, "")
    return FAILED, ended.sentence


def _give_up(command: Command, reason: str, status: str, code: str) -> None:
    """It is over: nothing of it goes on, and nothing of it is kept."""
    command.end_process()
    with inside(command.house_id):
        mine = Command.objects.unfinished().select_for_update().filter(pk=command.pk).first()
        if mine is not None:
            mine.figures = command.figures
            if mine.stop_asked_by_id:
                status, code = CANCELLED, "stopped"
            if mine.started_at is not None:  # else nothing was handed to it
                hidden = {name: value.encode() for name, value in mine.handing().hidden.items()}
                reason, _ = Redactor(hidden).clean(reason)
            mine.rest(status, reason=reason, by=mine.stop_asked_by, code=code)
    if mine is not None:
        leave(mine)
