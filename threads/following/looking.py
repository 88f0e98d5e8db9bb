"""What has to be looked after while an agent works: the lease, what people say, what it costs, silence, its files."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings

from artifacts.repositories import author
from houses.refusals import Refused
from houses.tenancy import inside, need_not_last
from sandboxes.provider import ProviderError
from threads.commands import Command
from threads.followed import FAILED
from threads.following.holding import EVERY, still_mine
from threads.following.launching import pack_session
from threads.runs import AT_WORK
from threads.runtimes.adapter import Outcome
from threads.waiting import WaitingMessage

if TYPE_CHECKING:
    from threads.following.driving import Drive

logger = logging.getLogger(__name__)
SETTLED = 3.0  # seconds after which a worker that follows a run is known to manage
SNAPSHOTS = 30.0  # seconds between two snapshots of a tree that is worked in
SHARE = 20  # and taking them takes no more than a twentieth of the time


def said_in(text: str, messages: Sequence[WaitingMessage]) -> list[WaitingMessage]:
    """Those that the text is made up of: the first that it is, or else as many as have room in it beside each other."""
    left = text.strip()
    whole = next((message for message in messages if message.text.strip() == left), None)
    if whole is not None:
        return [whole]
    found = []
    for message in sorted(messages, key=lambda one: -len(one.text)):  # a short one is easily a part of a longer one
        before, said, after = left.partition(message.text.strip())
        if said:
            left = f"{before}\0{after}"
            found.append(message)
    return found


@dataclass
class LookAfter:
    """Of one run, by the worker that follows it."""

    run: Command
    drive: "Drive"
    every: float = EVERY
    taken: list[str] = field(default_factory=list)  # texts of what the agent has read since the last look
    looked: float = 0.0
    last_heard: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.monotonic)
    next_snapshot: float = field(default_factory=lambda: time.monotonic() + SNAPSHOTS)
    seen_at: int = 0
    caught_up: bool = False  # with what the worker before had said to the agent

    def look(self) -> bool:
        """Once in a while; False if another worker took over, or the run is over."""
        now = time.monotonic()
        if now - self.looked < self.every:
            return True
        self.looked = now
        if not still_mine(self.run):
            return False
        with inside(self.run.house_id):
            need_not_last()
            if self.run.attempts > 1 and now - self.began > SETTLED:  # workers may die often in the hours of a run
                self.run.mine.update(attempts=1)
                self.run.attempts = 1
            self._end_if_spent()
            news = [] if self.run.is_ending else list(WaitingMessage.objects.to_steer(self.run.thread_id))
            # Said in the row, and perhaps not to the agent: whoever did that may have died in between.
            again = [] if self.caught_up else list(WaitingMessage.objects.not_taken(self.run.pk))
        told = [self._tell(message) for message in again]
        self.caught_up = all(told)
        for message in news:
            self._hand_over(message)
        self._end_if_silent(now)
        if now >= self.next_snapshot and self.drive.at > self.seen_at:
            self._keep_files()
        return True

    def note_taken(self) -> None:
        """The agent has read these texts, each once: whose messages they were is known by what they say, in order.

        Needs a transaction.
        """
        if not self.taken:
            return
        waiting = list(WaitingMessage.objects.not_taken(self.run.pk).order_by("sent_at", "pk"))
        for text in self.taken:
            for message in said_in(text, waiting):
                waiting.remove(message)
                message.note_taken(by=self.run.actor)
        self.taken.clear()

    def _hand_over(self, message: WaitingMessage) -> None:
        """To the agent that works. While that cannot be told, the message waits and can still change."""
        if self.drive.adapter.steer(message.text) is None:
            return
        with inside(self.run.house_id):
            now = WaitingMessage.objects.select_for_update().get(pk=message.pk)
            if not now.is_waiting or not Command.objects.unfinished().filter(pk=self.run.pk).exists():
                return
            if now.text != message.text:  # changed a moment ago: with the next look
                return
            now.hand_over(self.run.pk)
        self.caught_up = self._tell(message) and self.caught_up

    def _tell(self, message: WaitingMessage) -> bool:
        """Once, however often it is said; False while the agent cannot be told."""
        words = self.drive.adapter.steer(message.text)
        if words is not None:
            self.drive.send(f"message {message.pk}", words)
        return words is not None

    def _end_if_spent(self) -> None:
        try:
            self.run.require_budget()
        except Refused as spent:
            self.drive.outcome = Outcome(status=FAILED, code=spent.code, sentence=spent.detail, summary="")

    def _end_if_silent(self, now: float) -> None:
        silent = now - self.last_heard
        if silent > settings.RUN_SILENCE and not self.drive.calls:
            self.drive.outcome = Outcome(
                status=FAILED,
                code="silent",
                sentence=f"The agent was silent for {silent / 60:.0f} minutes, and was ended. Say something to go on.",
                summary="",
            )

    def _keep_files(self) -> None:
        """The tree and the session as they are now: should the machine die, work goes on from here."""
        began = time.monotonic()
        sandbox = self.run.sandbox
        assert sandbox is not None
        try:
            with sandbox.alone():
                with inside(self.run.house_id):
                    repository = self.run.environment.repository
                seen, session = sandbox.look(repository), pack_session(self.run, repository, self.drive.redactor)
                with inside(self.run.house_id):
                    if not self.run.mine.select_for_update():
                        return  # it is over, or another worker keeps its files: those are newer
                    bare = repository.bare
                    parents = [sandbox.snapshot] if sandbox.snapshot else []
                    snapshot = bare.commit(seen.tree, parents, author(self.run.actor), f"{self.run.pk}, {AT_WORK}")
                    bare.keep(f"{self.run.thread_id}/{self.run.pk}", snapshot)
                    sandbox.keep(snapshot)
                    self.run.session["tree"] = session
                    self.run.mine.update(session=self.run.session)
        except ProviderError as error:  # the machine is going, and the next look at the process says so
            logger.warning("no snapshot of run %s: %s", self.run.pk, self.drive.redactor.clean(error.detail)[0])
        self.seen_at = self.drive.at
        took = time.monotonic() - began
        self.next_snapshot = time.monotonic() + max(SNAPSHOTS, took * SHARE)
