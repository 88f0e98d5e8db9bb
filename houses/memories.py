"""Memories: what an agent, or a whole house, wants to know again."""

from collections.abc import Iterable
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db import IntegrityError, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, PrivateTo, SameHouse
from houses.functions import few
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Forbidden, Invalid, Refused
from houses.saying import one_at_a_time
from houses.standing import require_own_w, require_w
from houses.tenancy import current_house
from houses.texts import line_of, text_of, word, words_of

FACT, PREFERENCE, COMMITMENT, REFERENCE = "fact", "preference", "commitment", "reference"
# Words that everybody spells alike; any other is as good.
KINDS = (FACT, PREFERENCE, COMMITMENT, REFERENCE)
LONGEST = 16_000  # characters


class AlreadySuperseded(Refused):
    """Something newer stands in its place already."""

    code = "already_superseded"


class MemoryQuerySet(models.QuerySet["Memory"]):
    """What the house remembers, and what the agent who asks remembers for themselves."""

    def seen_by(self, agent: Agent) -> Self:
        """All of that, or what the house remembers alone, where a run asks."""
        return self.filter(agent=None) if agent.within else self

    def current(self) -> Self:
        """What nothing newer stands in for."""
        replaced = Memory.objects.filter(supersedes__isnull=False).values("supersedes")
        return self.exclude(pk__in=replaced)  # read once; asked row by row, it is most of what a search costs

    def saying(self, words: str) -> Self:
        """What has these words in it, asked as search boxes are: `rain -snow "in april" or hail`."""
        # By a function, because the index of words is not used where a policy has to be asked first.
        words = text_of(words, "words", 500)
        ids = few("memories_saying", "websearch_to_tsquery('simple', %s)", words)
        return self._those(ids, Q(words=SearchQuery(words, config="simple", search_type="websearch")))

    def _those(self, ids: list[str] | None, else_fitting: Q) -> Self:
        return self.filter(else_fitting if ids is None else Q(pk__in=ids))

    def recall(
        self,
        words: str = "",
        *,
        tags: Iterable[str] = (),
        kind: str = "",
        subject: str = "",
        superseded: bool = False,
    ) -> Self:
        """What fits all of that, the surest and then the newest first; `superseded` asks for what was replaced too."""
        rows = self if superseded else self.current()
        if tags := words_of(list(tags), "tags"):
            rows = rows._those(few("memories_tagged", "%s::text[]", tags), Q(tags__contains=tags))
        if kind:
            rows = rows.filter(kind=text_of(kind, "kind", 60))
        if subject:
            rows = rows.filter(subject__iexact=text_of(subject, "subject", 200))
        if words.strip():
            rows = rows.saying(words)
        return rows.order_by(F("confidence").desc(nulls_last=True), "-created_at", "-pk")

    def remember(
        self,
        text: str,
        *,
        kind: str = FACT,
        subject: str = "",
        confidence: float | None = None,
        source: str = "",
        tags: Iterable[str] = (),
        private: bool = False,
        by: Agent,
    ) -> "Memory":
        """Keep something, for `by` alone or for the house, which takes w on it. Saying it twice does it once."""
        if private:
            _require_at_home(by)
            require_own_w(by)
        else:
            require_w(by)
        given = _checked(text, kind, subject, confidence, source, tags)
        given |= {"agent": by if private else None}
        one_at_a_time("memory", given["text"])
        same = self.filter(house_id=current_house(), **given).current().first()
        return same or self.create(house_id=current_house(), created_by=by, **given)


class Memory(models.Model):
    """Something worth knowing again. With an agent it is private to that agent; without one, the whole house has it."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="memories")
    agent = models.ForeignKey(
        Agent, on_delete=models.CASCADE, db_constraint=False, null=True, blank=True, related_name="memories"
    )
    kind = models.TextField()  # `fact`, `preference`, `commitment`, `reference`, or another word
    subject = models.TextField(default="", db_default="", blank=True)
    text = models.TextField()
    confidence = models.FloatField(null=True, blank=True)  # 0 to 1
    source = models.TextField(default="", db_default="", blank=True)  # the thread or run it was learned in
    supersedes = models.ForeignKey(
        "self", on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="superseded_by"
    )
    tags = ArrayField(models.TextField(), default=list, db_default=[], blank=True)
    created_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    words = models.GeneratedField(
        expression=SearchVector("subject", "text", config="simple"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = MemoryQuerySet.as_manager()

    class Meta:
        db_table = "memories"
        constraints = [
            models.UniqueConstraint(name="a_memory_is_superseded_once", fields=["house", "supersedes"]),
            models.UniqueConstraint(name="memories_house_id", fields=["house", "id"]),
            models.CheckConstraint(
                name="confidence_is_between_0_and_1", condition=Q(confidence=None) | Q(confidence__range=(0, 1))
            ),
            SameHouse(
                name="a_private_memory_is_a_members",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            SameHouse(
                name="a_memory_supersedes_one_of_its_house",
                fields=("house", "supersedes"),
                to="houses.Memory",
                on_delete="set null (supersedes_id)",
            ),
            HouseOwned(name="memories_stay_in_their_house"),
            PrivateTo(name="a_private_memory_is_its_agents_alone"),
            Audited(
                name="memories_are_audited",
                hidden=("subject", "text", "words", "tags", "source", "kind", "confidence"),
            ),
        ]
        indexes = [
            GinIndex(fields=["words"], name="memories_by_word"),
            GinIndex(fields=["tags"], name="memories_by_tag"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"  # what it says is shown on purpose, never by the way

    @property
    def is_private(self) -> bool:
        return self.agent_id is not None

    def supersede(
        self,
        text: str,
        *,
        kind: str | None = None,
        subject: str | None = None,
        confidence: float | None = None,
        source: str = "",
        tags: Iterable[str] | None = None,
        by: Agent,
    ) -> "Memory":
        """Something truer in its place, as private as it was; this one stays, to be asked for. Twice is once."""
        self._require_ours(by)
        subject, kind = self.subject if subject is None else subject, kind or self.kind
        given = _checked(text, kind, subject, confidence, source, self.tags if tags is None else tags)
        given |= {"agent_id": self.agent_id, "supersedes": self}
        try:
            with transaction.atomic():
                return Memory.objects.create(house_id=self.house_id, created_by=by, **given)
        except IntegrityError as error:
            newer = Memory.objects.filter(**given).first()
            if newer is None:
                raise AlreadySuperseded("Something newer stands in its place already; supersede that one.") from error
            return newer

    def forget(self, *, by: Agent) -> None:
        """For good; what it had superseded holds again."""
        self._require_ours(by)
        Memory.objects.filter(house_id=current_house(), pk=self.pk).delete()

    def _require_ours(self, by: Agent) -> None:
        if self.agent_id is None:
            require_w(by)
        elif self.agent_id != by.pk:
            raise Forbidden("That is somebody's own memory; they alone change it.")
        else:
            _require_at_home(by)
        require_own_w(by)


def _require_at_home(by: Agent) -> None:
    if by.within:
        raise Forbidden("The token of a run keeps and changes no memories.")


def _checked(
    text: str, kind: str, subject: str, confidence: float | None, source: str, tags: Iterable[str]
) -> dict[str, Any]:
    sure = isinstance(confidence, int | float) and not isinstance(confidence, bool) and 0 <= confidence <= 1
    if confidence is not None and not sure:
        raise Invalid("confidence: this is a number from 0 to 1, or nothing.")
    return {
        "text": text_of(text, "text", LONGEST, needed=True),
        "kind": word(kind, "kind"),
        "subject": line_of(subject, "subject"),
        "confidence": confidence,
        "source": line_of(source, "source"),
        "tags": words_of(list(tags), "tags"),
    }
