"""How far a secret reaches: what hands it out and to whom, and which runs received it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import QuerySet, Sum

from houses.agents import Agent
from houses.models import Bot, Secret, SecretBinding, SecretDelivery
from houses.refusals import NotFound
from sandboxes.models import Environment
from threads.models import Answer, Command, Thread


@dataclass(frozen=True)
class Received:
    """A run that received a secret; in which thread is for those alone who may read that one."""

    delivery: SecretDelivery
    thread: Thread | None
    is_going: bool
    is_old: bool  # the value it got has been replaced or forgotten since


class Uses:
    """Of one secret, by its name: what was handed out is known after it was forgotten too."""

    def __init__(self, name: str, *, by: Agent) -> None:
        self.name, self.by = name, by
        self.secret = Secret.objects.select_related("rotated_by").filter(name=name).first()
        self.deliveries = SecretDelivery.objects.of(name)
        if self.secret is None and not self.deliveries.exists():
            raise NotFound(f"This house has no secret {name}.")

    @cached_property
    def environments(self) -> list[Environment]:
        """Those that hand it to every command."""
        return list(Environment.objects.injecting(self.name).order_by("name"))

    @cached_property
    def requiring(self) -> list[Environment]:
        """Those whose commands do not start without it."""
        return [one for one in self.environments if one.requires(self.name)]

    @cached_property
    def bindings(self) -> list[SecretBinding]:
        """Which resources it is for, as far as one may see those, and which agents get it."""
        return list(SecretBinding.objects.shown_to(self.by).filter(secret__name=self.name).order_by("name"))

    @cached_property
    def bots(self) -> list[Bot]:
        """Those whose model is asked with it as its key."""
        keyed = Bot.objects.filter(key_secret=self.name, agent__is_active=True)
        return list(keyed.select_related("agent").order_by("agent__name", "pk"))

    @cached_property
    def redactions(self) -> int:
        return int(self.deliveries.aggregate(times=Sum("redactions"))["times"] or 0)

    @property
    def going(self) -> list[Received]:
        """What runs with it right now."""
        return self.received(self.deliveries.filter(command_id__in=_at_work()))

    def received(self, deliveries: Iterable[SecretDelivery]) -> list[Received]:
        """The same deliveries, with what else is known about their runs; few queries, however many they are."""
        rows = list(deliveries)
        alive = set(_at_work(pk__in=[row.command_id for row in rows]))
        threads = Thread.objects.readable_by(self.by).in_bulk({row.thread_id for row in rows})
        return [Received(row, threads.get(row.thread_id), row.command_id in alive, self._is_old(row)) for row in rows]

    def _is_old(self, delivery: SecretDelivery) -> bool:
        """Whether it got another value: a secret that was deleted and put in again counts from 1 again."""
        if self.secret is None or delivery.version != self.secret.version:
            return True
        return delivery.delivered_at < self.secret.created_at


def _at_work(**which: Any) -> QuerySet[Any, Any]:
    """The ids of commands, runs and answers that have not come to rest."""
    commands, answers = (model.objects.unfinished().filter(**which).values("pk") for model in (Command, Answer))
    return commands.values_list("pk", flat=True).union(answers.values_list("pk", flat=True))
