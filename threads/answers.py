"""What a bot of a chat thread answers, in process: asked by a mention, or always."""

from collections.abc import Iterable
from copy import copy
from functools import partial
from typing import Any
from uuid import uuid4

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from houses.agents import BOT, Agent
from houses.bots import ALWAYS, Bot, NotReady
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Refused
from houses.rights import held, require
from houses.scopes import R, W
from houses.tools import DELEGATE_TASK
from streams.outbox import announce
from threads.followed import CANCELLED, FAILED, QUEUED, RUNNING, STATUSES, Followed, FollowedQuerySet
from threads.mentions import called as named_in
from threads.placing import answer_place
from threads.queues import ring_answer
from threads.rights import require_work
from threads.run_events import AnswerBegun, AnswerFinished
from threads.thread import Thread

IN_PROCESS = "chat"  # the runtime of bots that answer; the others are handed tasks
MOST_IN_A_ROW = 4  # bots that answer bots
LONGEST = 200_000  # characters of an answer
BEHIND = "behind"  # in its recipe: whom it is for


class AnswerQuerySet(FollowedQuerySet["Answer"]):
    """The house's answers."""

    def ask(
        self,
        thread: Thread,
        text: str,
        *,
        by: Agent,
        depth: int | None = None,
        about: str = "",
        behind: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Somebody said that: bots that are called answer, people find it in their inbox. In the same transaction.

        Where a bot says it in its answer, whoever that was for is still `behind` it.
        """
        thread.inbox_entries.mention(text, thread, about=about or uuid4().hex, by=by)
        called = _called(thread, text, by)
        if not called:
            return
        depth = self._depth(thread, by) if depth is None else depth
        for bot, settings in called:
            answer = Answer(house_id=thread.house_id, thread=thread, agent=bot, asked_by=by, text=text, depth=depth)
            answer.begin(settings, [standing_of(by), *behind])

    @transaction.atomic
    def claim(self, answer_id: str) -> "Answer | None":
        """The answer, for the one worker that gets it; None if it has another, is over, or an earlier one goes on.

        A bot answers in a thread one thing after the other.
        """
        asked = self.filter(pk=answer_id).first()
        if asked is None or self.before(asked).exists():
            return None
        answer = self.select_related("thread", "agent", "asked_by").take(answer_id)
        if answer is not None and answer.started_at is None:
            answer.started_at = timezone.now()
            answer.save(update_fields=["started_at"])
            answer.tell_begun()
        return answer

    def before(self, answer: "Answer") -> "AnswerQuerySet":
        """What the same bot has to answer in the same thread before that."""
        same = self.unfinished().filter(thread=answer.thread_id, agent=answer.agent_id)
        return same.filter(created_at__lt=answer.created_at)

    def _depth(self, thread: Thread, by: Agent) -> int:
        """How often in a row bots have spoken to bots."""
        if by.kind != BOT:
            return 0
        last = self.filter(thread=thread).order_by("-created_at", "-pk").first()
        return last.depth + 1 if last is not None else 1


class Answer(Followed):
    """Somebody said something to a bot (`text`); this is how far its answer is."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    thread = models.ForeignKey(Thread, on_delete=models.DO_NOTHING, db_constraint=False, related_name="answers")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")  # the bot
    asked_by = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+", db_index=False)
    text = models.TextField()
    recipe = models.JSONField(default=dict, db_default={})  # the bot as it was then
    depth = models.IntegerField(default=0, db_default=0)  # bots that answer bots: how often in a row
    done = models.JSONField(default=list, db_default=[])  # the messages of the model so far: whoever takes over goes on
    sequence = models.IntegerField(default=-1, db_default=-1)  # of what was appended to the stream

    objects = AnswerQuerySet.as_manager()

    class Meta:
        db_table = "answers"
        constraints = [
            models.UniqueConstraint(name="answers_house_id", fields=["house", "id"]),
            models.CheckConstraint(name="an_answer_is_somewhere_on_its_way", condition=Q(status__in=STATUSES)),
            SameHouse(
                name="an_answer_is_given_in_its_house",
                fields=("house", "thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            HouseOwned(name="answers_stay_in_their_house"),
        ]
        indexes = [
            models.Index(
                fields=["house", "status"], name="unfinished_answers", condition=Q(status__in=[QUEUED, RUNNING])
            )
        ]

    def __str__(self) -> str:
        return self.text.partition("\n")[0][:80]

    def begin(self, settings: Bot | None, behind: list[dict[str, Any]]) -> None:
        """The bot is to answer; one that cannot says why at once, and one that does tasks is handed a task."""
        self.recipe = {BEHIND: behind, "above": answer_place(self.thread_id, self.asked_by).above}
        try:
            with transaction.atomic():
                if self.depth > MOST_IN_A_ROW:
                    raise TooManyInARow
                if self.agent.runtime != IN_PROCESS:
                    for one in self.askers():
                        require_work(one, self.thread, DELEGATE_TASK)
                    self.thread.delegate(self.text, bot=self.agent, by=self.asked_by)
                    return
                self.recipe |= able(settings, self.agent).frozen()
                self.save(force_insert=True)
        except Refused as refused:
            self.recipe |= settings.frozen() if settings else {}
            self.save(force_insert=True)
            self.tell_begun()
            self.finish(FAILED, code=refused.code, reason=refused.detail)
        else:
            transaction.on_commit(partial(ring_answer, self.house_id, self.pk))

    def askers(self) -> list[Agent]:
        """Whom it is for, with as much as they came in with: who asked the bot, and whoever had asked that one."""
        behind = self.recipe.get(BEHIND) or [standing_of(self.asked_by)]
        known = {str(agent.pk): agent for agent in Agent.objects.filter(pk__in=[one["agent"] for one in behind])}
        return [_standing_as(one, known[one["agent"]]) for one in behind]

    def stop(self, *, by: Agent) -> None:
        """End it; what it said until then stays. One that has not begun never will."""
        require(by, W, self.thread)
        self.end(by=by)

    @transaction.atomic
    def end(self, *, by: Agent) -> None:
        """Stop it, for somebody who was asked before whether they may."""
        answer = Answer.objects.select_for_update().get(pk=self.pk)
        if answer.status == QUEUED:
            answer.tell_begun()
            answer.finish(CANCELLED, code="stopped", reason=f"Stopped by {by} before it began.", by=by)
        elif answer.status == RUNNING:
            Answer.objects.filter(pk=self.pk, stop_asked_by=None).update(stop_asked_by=by)
        self.refresh_from_db()

    # What its follower writes down

    def note(self, **values: Any) -> bool:
        """Write that down; False if another worker took it over, or it is over."""
        mine = Answer.objects.filter(pk=self.pk, status=RUNNING, attempts=self.attempts)
        if not mine.update(**values):
            return False
        for name, value in values.items():
            if not isinstance(value, models.expressions.Combinable):
                setattr(self, name, value)
        return True

    def hold(self) -> None:
        """Nobody else writes it down until this transaction ends: it is locked before its thread and any stream."""
        list(Answer.objects.select_for_update(no_key=True).filter(pk=self.pk))

    def note_part(self) -> bool:
        """The next part is about to be appended: rows first, then the stream."""
        if not self.note(sequence=F("sequence") + 1):
            return False
        self.sequence += 1
        return True

    def tell_begun(self) -> None:
        """From here on the page shows that it is at work."""
        model = str(self.recipe.get("model", ""))
        announce(self.thread, AnswerBegun(answer_id=self.pk, bot_id=str(self.agent_id), model=model), by=self.agent)

    def finish(
        self,
        status: str,
        *,
        code: str = "",
        reason: str = "",
        text: str = "",
        spent: dict[str, Any] | None = None,
        by: Agent | None = None,
    ) -> None:
        """Write down how it ended, and tell. Needs a transaction in which the row is locked and unfinished."""
        self.status, self.reason, self.finished_at = status, reason, timezone.now()
        self.save(update_fields=["status", "reason", "finished_at"])
        finished = AnswerFinished(
            answer_id=self.pk,
            bot_id=str(self.agent_id),
            status=status,
            code=code,
            reason=reason,
            text=text,
            seconds=round(self.seconds, 3),
            spent=spent or {},
        )
        announce(self.thread, finished, by=by or self.agent)
        if status == FAILED:
            self.thread.inbox_entries.put(self.asked_by, self.thread, FAILED, self.pk, reason, by=self.agent)
        waiting = Answer.objects.filter(status=QUEUED, thread=self.thread_id, agent=self.agent_id)
        following = waiting.exclude(pk=self.pk).order_by("created_at").first()
        if following is not None:
            transaction.on_commit(partial(ring_answer, self.house_id, following.pk))


class TooManyInARow(Refused):
    """Bots that talk to each other without end."""

    code = "too_many_in_a_row"

    def __init__(self) -> None:
        super().__init__(
            f"Bots have answered each other {MOST_IN_A_ROW} times in a row; a person has to say how to go on."
        )


def standing_of(agent: Agent) -> dict[str, Any]:
    """Who it is, and what the credential lets through that they came in with."""
    return {"agent": str(agent.pk), "cap": agent.cap, "within": agent.within, "calls": agent.calls}


def _standing_as(standing: dict[str, Any], agent: Agent) -> Agent:
    agent = copy(agent)
    agent.cap, agent.within, agent.calls = standing["cap"], standing["within"], standing["calls"]
    return agent


def able(settings: Bot | None, bot: Agent) -> Bot:
    """How the bot thinks, if it can. Raises `Refused` with what to do."""
    if settings is None:
        raise NotReady(f"{bot} has no model yet; choose one, and its key, under Settings → Agents.")
    settings.ready()
    return settings


def _called(thread: Thread, text: str, by: Agent) -> list[tuple[Agent, Bot | None]]:
    """The bots that this is for, of those that may read and write in the thread, each with how it thinks."""
    bots = Agent.objects.bots().filter(is_active=True).exclude(pk=by.pk)
    by_id = {bot.pk: bot for bot in bots}
    if not by_id:
        return []
    settings = {one.agent_id: one for one in Bot.objects.select_related("agent").filter(agent__in=by_id)}
    called = named_in(text, by_id.values())
    if by.kind != BOT:  # a bot answers another only when it is named
        always = (by_id[pk] for pk, one in settings.items() if one.answers == ALWAYS)
        called += [bot for bot in always if bot.runtime == IN_PROCESS and bot not in called]
    rights = held(called, [thread]) if called else {}
    return [(bot, settings.get(bot.pk)) for bot in called if {R, W} <= set(rights[bot.pk, thread.pk].bits)]
