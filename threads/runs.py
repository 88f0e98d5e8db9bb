"""The run of an agent, as a trait of `Command`: how its thread shows what it does, and what follows when it rests."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from houses.agents import Agent
from houses.grants import Grant
from houses.refusals import Refused
from sandboxes.models import Sandbox
from streams.outbox import announce
from threads.followed import CANCELLED, COMPLETED, FAILED, RUNNING, Followed
from threads.inbox import FAILED as UNFINISHED
from threads.inbox import FINISHED, WAITING, InboxEntry
from threads.run_events import (
    ChildFinished,
    PiAnswered,
    PiFailed,
    PiSessionOrphaned,
    PiWaiting,
    RunFinished,
    RunStarted,
    StatusChanged,
)
from threads.spending import Spending
from threads.thread import Thread
from threads.waiting import WaitingMessage

if TYPE_CHECKING:
    from sandboxes.provider import Exit

AT_WORK = "at work"  # the end of the message of a snapshot that was taken before the end
SHORT = 2000  # characters of a summary
MOST_QUESTIONS = 20  # of one run
NOTHING_KEPT: dict[str, Any] = {
    "changed": [],
    "more": 0,
    "snapshot": None,
    "landed": None,
    "conflicts": [],
    "branch": None,
    "left_out": [],
}


def lock_around(runs: "Sequence[Run]") -> None:
    """The machines, the threads and what waits there, in this order: rows are locked before streams, everywhere."""
    machines, threads = {run.sandbox_id for run in runs}, {run.thread_id for run in runs}
    list(Sandbox.objects.filter(pk__in=machines - {None}).select_for_update(no_key=True).order_by("pk"))
    list(Thread.objects.filter(pk__in=threads).select_for_update(no_key=True).order_by("pk"))
    waiting = WaitingMessage.objects.filter(thread__in=threads, taken_at=None, withdrawn_at=None)
    list(waiting.select_for_update().order_by("pk"))


class TooManyQuestions(Refused):
    """A run that asks without end."""

    code = "too_many_questions"
    status = 429


class Run(Followed):
    """What is a run's alone."""

    bot: Any
    bot_id: Any
    recipe: Any
    thread: Any
    thread_id: Any
    agent: Any
    house_id: Any
    sandbox_id: Any
    redactions: Any
    session: Any
    settle: Callable[..., None]

    class Meta:
        abstract = True

    @property
    def task(self) -> dict[str, Any]:
        """Its recipe, as it was frozen."""
        return dict(self.recipe)

    @property
    def above(self) -> str:
        """The run that handed this one on; empty if a person did."""
        return str(self.task.get("above", ""))

    @property
    def branch(self) -> str:
        """The branch of the repository that it works on; it stays where what it made could not land."""
        return f"runs/{self.pk}"

    def session_for_the_next(self) -> dict[str, str]:
        """What the agent's session is called, and where it was last: packed in a tree, and live on a machine."""
        told = {
            "before": self.session.get("id") or self.session.get("before", ""),
            "tree": self.session.get("tree", ""),
            "sandbox": self.session.get("sandbox", ""),
            "memory": self.session.get("memory", ""),
        }
        return {name: value for name, value in told.items() if value}

    def require_budget(self) -> None:
        """Refuse to begin, or to go on, where nothing is left. Raises `OverBudget`."""
        Spending.objects.require_left(self.bot, above=self.above, run=str(self.pk))

    def lock_around(self) -> None:
        """Its machine, its thread and what waits there."""
        lock_around([self])

    def tell_run_started(self, split: dict[str, float]) -> None:
        """Its agent begins to work: from here on the thread is running."""
        self.lock_around()
        announce(self.thread, RunStarted(run_id=self.pk, sandbox_id=self.sandbox_id, split=split), by=self.bot)
        self._turn(RUNNING)

    @transaction.atomic
    def wait_on(self, agent: Agent, question: str) -> None:
        """It needs an answer of somebody before it can go on. One question of a run is open to each: the last one."""
        list(Thread.objects.filter(pk=self.thread_id).select_for_update(no_key=True))
        if not type(self)._default_manager.filter(pk=self.pk, finished_at=None).exists():
            raise Refused("This run has come to rest, so nothing of it waits.")
        asked = InboxEntry.objects.filter(kind=WAITING, thread=self.thread_id, about__startswith=f"{self.pk} ")
        still_open = asked.open_questions().filter(agent=agent)
        if still_open.asking(question).exists():
            return
        if not still_open.ask_instead(question):
            if asked.count() >= MOST_QUESTIONS:
                raise TooManyQuestions(f"This run has asked {MOST_QUESTIONS} times; go on with what is known.")
            about = f"{self.pk} {timezone.now().isoformat()}"
            InboxEntry.objects.put(agent, self.thread, WAITING, about, question, by=self.bot)
        announce(self.thread, PiWaiting(run_id=self.pk, on=str(agent.pk), question=question), by=self.bot)

    def finish_run(
        self,
        status: str,
        *,
        by: Agent,
        reason: str = "",
        code: str = "",
        summary: str = "",
        exit_code: int | None = None,
        ended: "Exit | None" = None,
        **kept: Any,
    ) -> None:
        """Write down how it ended, tell, and let what follows follow. Needs a transaction in which the row is locked.

        `kept` is what is known of its files, by the names in `NOTHING_KEPT`.
        """
        self.lock_around()
        self.settle(status, reason, exit_code, by=by)
        finished = RunFinished(
            run_id=self.pk,
            bot_id=str(self.bot_id),
            status=status,
            code=code,
            reason=reason,
            summary=summary[:SHORT],
            seconds=round(self.seconds, 3),
            exit_code=exit_code,
            redactions=self.redactions,
            spent=Spending.objects.told(str(self.pk)),
            **(NOTHING_KEPT | kept),
        )
        self._tell_trouble(status, code, reason, ended)
        announce(self.thread, finished, by=by)
        self._tell_people(status, summary or reason)
        self._turn(status, code=code, by=by)
        self._tell_above(finished)
        self._go_on(status)

    def _tell_people(self, status: str, how: str) -> None:
        """Nobody is waited for any more, and whoever asked finds in their inbox what came of it."""
        if InboxEntry.objects.answered(self.thread, by=None):
            announce(self.thread, PiAnswered(run_id=self.pk), by=self.bot)
        if status != CANCELLED:
            kind = FINISHED if status == COMPLETED else UNFINISHED
            InboxEntry.objects.put(self.agent, self.thread, kind, str(self.pk), how, by=self.bot)

    def _tell_trouble(self, status: str, code: str, reason: str, ended: "Exit | None") -> None:
        if status != FAILED:
            return
        if code in ("orphaned", "silent"):
            heard = self.leased_until or self.finished_at or timezone.now()
            seconds = max(0.0, (timezone.now() - heard).total_seconds())
            announce(self.thread, PiSessionOrphaned(run_id=self.pk, seconds=round(seconds, 1)), by=self.bot)
        else:
            failed = PiFailed(
                run_id=self.pk,
                error_class=code or "refused",
                detail=reason,
                exit_code=ended.code if ended else None,
                signal=ended.signal if ended else None,
            )
            announce(self.thread, failed, by=self.bot)

    def _turn(self, status: str, *, code: str = "", by: Agent | None = None) -> None:
        """The thread's row, and the signal that mirrors it."""
        thread = Thread.objects.select_for_update(no_key=True).get(pk=self.thread_id)
        if thread.status != status:
            before, thread.status = thread.status, status
            thread.save(update_fields=["status"])
            turned = StatusChanged(status=status, before=before, run_id=self.pk, code=code)
            announce(thread, turned, by=by or self.bot)

    def _tell_above(self, finished: RunFinished) -> None:
        parent = Thread.objects.filter(pk=self.thread.parent_thread_id).first()
        if parent is None:
            return
        told: dict[str, Any] = {"summary": "", "changed": [], "more": 0, "spent": {}}
        if not Grant.objects.on(self.thread).exists():  # else not everybody who reads above may read what came of it
            told = {
                "summary": finished.summary,
                "changed": finished.changed[:20],
                "more": finished.more + max(0, len(finished.changed) - 20),
                "spent": finished.spent,
            }
        ended = ChildFinished(
            child_thread_id=self.thread_id,
            run_id=self.pk,
            bot_id=str(self.bot_id),
            status=finished.status,
            code=finished.code,
            **told,
        )
        announce(parent, ended, by=self.bot)

    def _go_on(self, status: str) -> None:
        """What was said meanwhile and not read begins the next run; after a stop it waits until somebody says so."""
        WaitingMessage.objects.not_taken(str(self.pk)).update(sent_at=None)
        if status == CANCELLED:
            return
        left = WaitingMessage.objects.to_begin_with(self.thread_id)
        if left:
            try:
                with transaction.atomic():
                    self.thread.start_run("", by=left[0].agent, left=left)
            except Refused:  # they wait on, visibly, and whoever speaks next is told why
                return
