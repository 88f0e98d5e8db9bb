"""Following the run of an agent: what it prints becomes events, what people say reaches it, and its end is decided.

Whoever takes over feeds the adapter the same bytes again: it is a pure function of them. A chunk of output is written
into the row before its events are appended, so they are appended once; what goes to the agent has a key, so it is said
once.
"""

import time
from collections import Counter
from dataclasses import dataclass, field, replace

from django.db import close_old_connections

from houses.measures import AGENT_LINES
from houses.tenancy import inside
from sandboxes.provider import Exit, ProviderError
from sandboxes.redaction import Redactor
from streams.client import Producer, streams
from streams.events import Event
from streams.outbox import is_behind, relay
from threads.agent_events import PiToolCall, PiToolResult, PiUsage
from threads.commands import Command
from threads.following.hiding import Hiding, Told
from threads.following.launching import adapter_of
from threads.following.looking import LookAfter
from threads.following.portions import portions
from threads.run_events import SessionStarted
from threads.runtimes.adapter import Heard as Said
from threads.runtimes.adapter import Outcome
from threads.spending import Spending
from threads.tokens import Tokens

AT_ONCE = 64 * 1024  # bytes read in one go
LONGEST_LINE = 32 * 1024 * 1024  # what goes on for longer is cut there
PAUSE = 0.03  # seconds between chunks of an agent that prints without end

NOTHING = Said()


@dataclass
class Heard:
    """What a chunk of output came to: events, and what is told of them."""

    events: list[Event] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    over: bool = False


class Drive:
    """One worker's way with one run, from where the last one was to its end."""

    def __init__(self, run: Command, redactor: Redactor) -> None:
        assert run.sandbox is not None
        self.run, self.redactor = run, redactor
        self.machine, self.ref = run.sandbox.machine, run.sandbox.ref
        self.adapter = adapter_of(run)
        self.hiding = Hiding(redactor)
        self.tokens = Tokens()
        self.calls: set[str] = set()  # tool calls that have not answered
        self.at = self.unfinished = 0  # bytes dealt with, and those of a line that has not ended
        self.is_over = False
        self.outcome: Outcome | None = None  # decided by arbe: the budget is spent, or it was silent for too long
        self.look_after = LookAfter(run, self)

    def follow(self) -> tuple[Exit | None, Outcome] | None:
        """Until it has ended; None if another worker took over."""
        self._catch_up()
        while True:
            if not self.look_after.look():
                return None
            ended = None if self.is_over else self.machine.poll(self.ref, self.run.pk)
            chunk = self._next_chunk(ended)
            if chunk:
                if not self._pour(chunk):
                    return None
                time.sleep(0 if len(chunk) >= AT_ONCE or ended is not None else PAUSE)
            if self.is_over or self.outcome is not None:
                return self._end(ended)
            if not chunk and ended is not None:
                return ended, self._decide(ended)
            if not chunk:
                close_old_connections()  # it may take long, and others have use for the connection
                self.machine.wait(self.ref, self.run.pk, self.at + self.unfinished, timeout=self.look_after.every)

    # Output

    def _catch_up(self) -> None:
        """What is on the stream already is heard again and not told; the last chunk may or may not have arrived."""
        while self.at < self.run.poured:
            self._hear(self._heard_before(self.run.poured))
        if self.run.pouring > self.run.poured:
            told: list[Told] = []
            while self.at < self.run.pouring:
                told += self._hear(self._heard_before(self.run.pouring)).told
            relay(self.run.house_id, self.run.thread.stream_id)
            self._append(told)
        self.look_after.taken.clear()  # noted with their chunks

    def _heard_before(self, end: int) -> bytes:
        """Lines as they were cut the first time: where there is no end of a line, a chunk was as long as can be."""
        chunk = self._cut(self.machine.read(self.ref, self.run.pk, self.at, min(AT_ONCE, end - self.at)), end)
        if not chunk:
            raise ProviderError("What the agent had printed is gone.", permanent=True)
        return chunk

    def _next_chunk(self, ended: Exit | None) -> bytes:
        """Whole lines; what is left of an unfinished one stays where it is, unless nothing follows."""
        raw = self.machine.read(self.ref, self.run.pk, self.at, AT_ONCE)
        return self._cut(raw, ended.output_bytes if ended is not None else None)

    def _cut(self, raw: bytes, end: int | None) -> bytes:
        """As far as lines go, a long one alone; all of it where the output ends, or a line has no end."""
        most, whole = AT_ONCE, raw.rfind(b"\n") + 1
        while not whole:
            if (end is not None and self.at + len(raw) >= end) or len(raw) >= LONGEST_LINE:
                return raw
            if len(raw) < most and end is None:
                break
            most = min(most * 4, LONGEST_LINE)
            longer = self.machine.read(
                self.ref, self.run.pk, self.at, most if end is None else min(most, end - self.at)
            )
            if len(longer) == len(raw):
                self.unfinished = len(raw)
                return raw if end is not None else b""
            raw, whole = longer, longer.find(b"\n") + 1
        self.unfinished = len(raw) - whole
        return raw[:whole]

    def _hear(self, chunk: bytes) -> Heard:
        """What the adapter makes of these lines; what it wants to say to the agent is said."""
        heard, at = Heard(), self.at
        for line in chunk.split(b"\n"):
            found = self.adapter.hear(line) if line.strip() else NOTHING
            heard.events += found.events
            for count, words in enumerate(found.send):
                self.send(f"reply {at} {count}", words)  # named by its place, it is said once, whoever hears this line
            if found.session:
                heard.events.append(self._name_session(found.session))
            self.look_after.taken += found.took
            heard.over = heard.over or found.over
            at += len(line) + 1
        self.at += len(chunk)
        self.is_over = self.is_over or heard.over
        for event in heard.events:
            self._witness(event)
            heard.told += self.hiding.told(event, heard.hits)
        return heard

    def _witness(self, event: Event) -> None:
        if isinstance(event, PiUsage):
            self.tokens = self.tokens.plus(event)
        elif isinstance(event, PiToolCall):
            self.calls.add(event.call_id)
        elif isinstance(event, PiToolResult):
            self.calls.discard(event.call_id)

    def _name_session(self, session: str) -> SessionStarted:
        resumed = session == self.run.session.get("before")
        if self.run.session.get("id") != session:
            self.run.session["id"] = session
            with inside(self.run.house_id):
                self.run.mine.update(session=self.run.session)
        runtime = self.run.task["runtime"]
        return SessionStarted(run_id=self.run.pk, runtime=runtime, session=session, resumed=resumed)

    def _pour(self, chunk: bytes) -> bool:
        """The events of a chunk, rows first. Chunks without any are heard again by whoever takes over."""
        heard = self._hear(chunk)
        self.look_after.last_heard = time.monotonic()
        AGENT_LINES.inc(chunk.count(b"\n"))
        if not heard.told:
            return True
        with inside(self.run.house_id):
            mine = self.run.note_chunk(self.at, style="", hits=dict(heard.hits))
            if mine and any(isinstance(event, PiUsage) for event in heard.events):
                Spending.objects.note(self.run, self.tokens)  # with the chunk: nothing is told that was not counted
            if mine:
                self.look_after.note_taken()  # with the chunk: whoever takes over has only what is after it to note
            behind = mine and is_behind(self.run.thread.stream_id)
        if not mine:
            return False
        if behind:
            relay(self.run.house_id, self.run.thread.stream_id)
        self._append(heard.told)
        return True

    def _append(self, told: list[Told]) -> None:
        run, chunk = self.run, self.run.sequence
        for number, portion in enumerate(portions(told)):
            events = [{"type": kind, "payload": said, "author_agent_id": str(run.bot_id)} for kind, said in portion]
            producer = Producer(f"command {run.pk}", epoch=0, seq=chunk)
            if number:  # a chunk has one number in its row: its further portions are known by their names
                producer = Producer(f"command {run.pk} {chunk}+{number}", epoch=0, seq=0)
            streams().append(run.house_id, run.thread.stream_id, events, producer)

    # Input and end

    def send(self, key: str, words: bytes) -> None:
        """Say something to the agent, once; one that has gone hears nothing."""
        try:
            self.machine.send(self.ref, self.run.pk, key, words)
        except ProviderError:
            return

    def _decide(self, ended: Exit | None) -> Outcome:
        """What it said last goes to many places from here; no secret goes with it."""
        outcome = self.outcome or self.adapter.outcome(ended, stop_asked=self.run.is_ending)
        (sentence, summary), _ = self.redactor.clean([outcome.sentence, outcome.summary])
        return replace(outcome, sentence=sentence, summary=summary)

    def _end(self, ended: Exit | None) -> tuple[Exit | None, Outcome]:
        """It has said its last word, or is not to go on: the program ends, and everything it started."""
        outcome = self._decide(None)
        self.machine.stop(self.ref, self.run.pk)
        return ended or self.machine.poll(self.ref, self.run.pk), outcome
