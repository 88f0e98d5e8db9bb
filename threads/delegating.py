"""Handing work to coding agents: a child thread that a bot drives, its runs, and what is said to it meanwhile."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.db import transaction

from houses.agents import HUMAN, Agent
from houses.bots import Bot, NotReady
from houses.finding import agent_named
from houses.places import Member
from houses.refusals import Forbidden, Invalid
from houses.tools import DELEGATE_TASK
from sandboxes.models import Environment, Sandbox
from sandboxes.runtimes import installed
from streams.outbox import announce
from threads.conversation import checked_text
from threads.events import Message
from threads.placing import task_place
from threads.queues import ring_command
from threads.rights import require_work
from threads.run_events import MessageWaiting, RunQueued
from threads.runtimes.adapters import ADAPTERS
from threads.working import Working

if TYPE_CHECKING:
    from threads.commands import Command
    from threads.makes import Make
    from threads.thread import Thread
    from threads.waiting import WaitingMessage


class Delegating(Working):
    """A thread from which work is handed on; and, where a bot drives it, one in which it is done."""

    agent: Any
    agent_id: Any
    parent_thread_id: Any
    waiting: Any
    inbox_entries: Any

    class Meta:
        abstract = True

    @transaction.atomic
    def delegate(
        self,
        text: str,
        *,
        bot: Agent,
        by: Agent,
        environment: Environment | None = None,
        sandbox: Sandbox | None = None,
        above: str = "",
    ) -> "Thread":
        """Have a coding agent do it, in a child thread that is returned; by default on a machine of its own.

        What it costs counts as the run's that is `above`, or the answer's.
        """
        require_work(by, self, DELEGATE_TASK)
        text = checked_text(text, "A task")
        here = self._locked()
        here.require_open()
        place = task_place(self.pk, by)
        place.require_room()
        if sandbox is not None:
            environment = Environment.objects.get(pk=sandbox.environment_id)
        child: Thread = type(self).objects.begin_in(  # type: ignore[attr-defined]  # this is a trait of threads
            self.house_id,
            by=by,
            name=_title(text),
            parent=self,
            environment=self.resolve_environment(environment),
            bot=_able(bot),
            sandbox=sandbox,
        )
        child.start_run(text, by=by, depth=place.depth, above=above or place.above)
        self._touch()
        return child

    @transaction.atomic
    def start_run(
        self,
        text: str,
        *,
        by: Agent,
        make: "Make | None" = None,
        step: str = "",
        targets: list[str] | None = None,
        depth: int | None = None,
        above: str = "",
        left: "Sequence[WaitingMessage]" = (),
    ) -> "Command":
        """The next run of the bot that drives this, for somebody who may; it is told what is `left`, and the text."""
        self.refresh_from_db(fields=["status", "agent"])
        before = self.commands.filter(bot__isnull=False).order_by("-created_at", "-pk").first()
        recipe = frozen(_able(self.agent))
        prompt = "\n\n".join([*(one.text for one in left), *([text] if text else [])])
        environment = self.resolve_environment()
        environment.wanted_secrets()  # a missing one that is required is refused before anything has started
        if depth is None:
            depth, above = self._next_place(before, by)
        run: Command = self.commands.create(
            house_id=self.house_id,
            agent=by,
            bot=self.agent,
            text=prompt,
            environment=environment,
            make=make,
            step=step,
            targets=targets or [],
            depth=depth,
            session=before.session_for_the_next() if before else {},
            recipe={**recipe, "prompt": prompt, "environment": environment.pk, "above": above},
        )
        run.require_budget()
        transaction.on_commit(partial(ring_command, self.house_id, run.pk, is_run=True))
        self._tell_queued(run, text, left, by)
        return run

    def _tell_queued(self, run: "Command", text: str, left: "Sequence[WaitingMessage]", by: Agent) -> None:
        for one in left:
            one.hand_over(run.pk, begins=True)
        if text:
            announce(self, Message(text=text), by=by)
        queued = RunQueued(
            run_id=run.pk,
            bot_id=str(self.agent_id),
            runtime=run.task["runtime"],
            model=run.task["model"],
            make_id=run.make_id,
            target=", ".join(run.targets) or None,
        )
        announce(self, queued, by=by)
        self._touch()

    def hear(self, text: str, *, by: Agent, waits: bool = False) -> None:
        """Somebody says something to the bot that drives this: it steers the run, waits, or begins the next run.

        People who are mentioned find that in their inbox; bots are not called where one drives.
        """
        require_work(by, self, DELEGATE_TASK)
        self.inbox_entries.answered(self, by=by)
        self.inbox_entries.mention(text, self, about=uuid4().hex, by=by)
        if self.commands.filter(bot__isnull=False).unfinished().exists():
            message = self.waiting.create(house_id=self.house_id, agent=by, text=text, steers=not waits)
            announce(self, MessageWaiting(message_id=message.pk, text=text, steers=not waits), by=by)
            self._touch()
            return
        self.start_run(text, by=by, left=self.waiting.to_begin_with(self.pk))

    def _next_place(self, before: "Command | None", by: Agent) -> tuple[int, str]:
        """How deep the next run is, and below which: a bot hands on from above; what people ask for is no run's."""
        if by.is_bot and self.parent_thread_id:
            place = task_place(self.parent_thread_id, by)
            if place.above:
                return place.depth, place.above
        depth = before.depth if before else 0
        return depth, before.above if before and by.is_bot else ""


def bot_named(word: str) -> Agent:
    """The bot of this house with that name or id. Raises `NotFound`, `Invalid`."""
    return agent_named(word, f"There is no bot {word!r} in this house; see Settings → Agents.")


def frozen(bot: Agent) -> dict[str, Any]:
    """What a run keeps of its bot: as it is set up in this house now. Raises `NotReady`."""
    settings = Bot.objects.of(bot)
    if settings is None:
        raise NotReady(f"{bot} has no model yet; choose one under Settings → Agents.")
    settings.ready()
    runtime = str(bot.runtime)
    version = installed(runtime)
    if version is None:
        raise NotReady(
            f"The agent program {runtime} is not installed; "
            f"an operator does that with `manage.py runtimes install {runtime}`."
        )
    return {"kind": "task", "version": version, **settings.frozen()}


def _able(bot: Agent) -> Agent:
    """The bot, if it can be handed a task here."""
    if bot.kind == HUMAN:
        raise Invalid(f"{bot} is a person: say it to them; tasks are for bots.")
    if not bot.is_active or Member.objects.of(bot) is None:
        raise Forbidden(f"{bot} is not in this house; somebody who manages it lets bots in under Settings → Members.")
    if bot.runtime not in ADAPTERS:
        raise Invalid(f"{bot} only answers, it does no tasks: mention it in a thread, or choose a bot with a runtime.")
    return bot


def _title(text: str) -> str:
    line = next(line for line in text.splitlines() if line.strip())
    return line.strip()[:80]
