"""What models have cost: by bot, by thread, by month; and what is left."""

from typing import Any
from uuid import UUID

from django.db.models.functions import TruncMonth
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.bots import NO_BOT, bots_here
from houses.api.paging import PageQuery, PageSerializer, page_of
from houses.api.schema import operation
from houses.api.view import HouseView, answer
from houses.finding import found
from houses.refusals import Forbidden
from threads.api.threads import ThreadView
from threads.models import Spending, Thread
from threads.spending import Limit, SpendingQuerySet, Spent, month_of

BOT, THREAD, MODEL, MONTH = "bot", "thread", "model", "month"
COLUMNS = {BOT: "agent_id", THREAD: "thread_id", MODEL: "model", MONTH: "month"}


class SpentSerializer(serializers.Serializer[Any]):
    """Several runs and answers together."""

    input_tokens = serializers.IntegerField(source="input", help_text="Not from a cache.")
    output_tokens = serializers.IntegerField(source="output")
    cache_read_tokens = serializers.IntegerField(source="cache_read")
    cache_write_tokens = serializers.IntegerField(source="cache_write")
    tokens = serializers.IntegerField(help_text="All of these, as limits count them.")
    usd = serializers.DecimalField(
        allow_null=True, max_digits=None, decimal_places=8, help_text="What is known of it; null if nothing is."
    )
    runs = serializers.IntegerField(help_text="How many runs and answers.")
    unpriced = serializers.IntegerField(help_text="Of how many of them nobody knows the price.")


class ShareSerializer(SpentSerializer):
    """Of one bot, thread, model or month."""

    per = serializers.CharField(
        allow_blank=True, help_text="The id of the bot or of the thread, the model, or 2027-01."
    )


class SpendingPageSerializer(PageSerializer):
    """Some of it."""

    results = ShareSerializer(many=True)


class SpendingQuery(PageQuery):
    """Which spending, and how it is added up."""

    per = serializers.ChoiceField(list(COLUMNS), required=False, default=BOT)
    bot = serializers.UUIDField(required=False)
    thread = serializers.CharField(required=False, help_text="And everything below it.")
    month = serializers.RegexField(r"^[12]\d{3}-(0[1-9]|1[0-2])$", required=False, help_text="2027-01, in UTC.")


class LimitSerializer(serializers.Serializer[Any]):
    """One limit, and what is used of it."""

    whose = serializers.ChoiceField(["bot", "house"])
    unit = serializers.ChoiceField(["tokens", "usd"])
    most = serializers.DecimalField(max_digits=None, decimal_places=6)
    used = serializers.DecimalField(max_digits=None, decimal_places=6)
    left = serializers.DecimalField(max_digits=None, decimal_places=6)
    sentence = serializers.CharField(source="__str__")


class LimitPageSerializer(PageSerializer):
    """The limits that hold."""

    results = LimitSerializer(many=True)


class ThreadSpendingSerializer(serializers.Serializer[Any]):
    """What a thread has cost."""

    itself = SpentSerializer()
    with_children = SpentSerializer(help_text="And all threads below it that you may read.")


class SpendingView(HouseView):
    needs = None  # everything for whoever manages the house, and of threads that one may read for others

    @operation("list_spending", "spending", query=SpendingQuery, gives=SpendingPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What was spent by each bot (or `per` thread, model, month) of what you may see."""
        query = self.asked(SpendingQuery)
        rows: Any = self._chosen(query)
        if query["per"] == MONTH:
            rows = rows.annotate(month=TruncMonth("at"))
        shares = {self._key(one): spent for one, spent in rows.by(COLUMNS[query["per"]]).items()}
        return page_of(shares.items(), query, key=lambda share: share[0], told=told_share)

    def _chosen(self, query: dict[str, Any]) -> SpendingQuerySet:
        rows = Spending.objects.visible_to(self.agent)
        if "thread" in query:
            thread = found(Thread.objects.readable_by(self.agent), pk=query["thread"])
            rows = rows.of_thread(thread).readable_by(self.agent)
        if "bot" in query:
            rows = rows.of_bot(found(bots_here(), NO_BOT, pk=query["bot"]))
        if "month" in query:
            rows = rows.in_month(month_of(query["month"]))
        return rows

    def _key(self, one: Any) -> str:
        return one.strftime("%Y-%m") if hasattr(one, "strftime") else str(one)


class ThreadSpendingView(ThreadView):
    @operation("get_thread_spending", "spending", gives=ThreadSpendingSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """What the bots of one thread have cost, alone and with what was handed on from it."""
        one = self.thread
        below = Spending.objects.of_thread(one).readable_by(self.agent)
        told = {"itself": Spending.objects.filter(thread=one).total(), "with_children": below.total()}
        return answer(ThreadSpendingSerializer, told)


class LimitsView(HouseView):
    @operation("list_limits", "spending", query=PageQuery, gives=LimitPageSerializer)
    def get(self, request: Request, house: str, agent: UUID) -> Response:
        """The limits that hold for a bot this month, its own and the house's, with what is used of them."""
        bot = found(bots_here(), NO_BOT, pk=agent)
        if not Spending.objects.are_all_seen_by(self.agent):
            raise Forbidden(
                "What is used of a limit is told to whoever manages the house, or may read every thread that something "
                "was spent in; the limits themselves are under budgets."
            )
        held = Spending.objects.left(bot)
        return page_of(held, self.asked(PageQuery), key=limit_key, told=lambda one: LimitSerializer(one).data)


def limit_key(limit: Limit) -> str:
    return f"{limit.whose} {limit.unit}"


def told_share(share: tuple[str, Spent]) -> Any:
    return {"per": share[0], **SpentSerializer(share[1]).data}
