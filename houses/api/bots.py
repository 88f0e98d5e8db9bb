"""Bots as they are set up, and what they may spend."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import RUNTIMES
from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.arrivals import welcome_bot_set_up
from houses.bots import ANSWERS, APIS, LONGEST_PROMPT, MENTION
from houses.budgets import MOST_TOKENS, MOST_USD
from houses.finding import found
from houses.models import Agent, Bot, Budget
from houses.refusals import NotFound
from houses.rights import require
from houses.scopes import R

NO_BOT = "There is no bot of that id in this house."


class SettingsSerializer(Strict):
    """How a bot thinks from now on."""

    model = serializers.CharField(max_length=200, allow_blank=True, help_text="As its provider calls it.")
    address = serializers.CharField(
        max_length=2000, allow_blank=True, help_text="Of the provider, up to what the API adds: https://…/v1."
    )
    api = serializers.ChoiceField(
        APIS, required=False, help_text="What the provider speaks; by default what the bot's runtime likes best."
    )
    key_secret = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="The name of the house's secret with the key; empty for a provider that takes none.",
    )
    system_prompt = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=LONGEST_PROMPT,
        help_text="What it is told before anything else; at most 32 kB.",
    )
    answers = serializers.ChoiceField(
        ANSWERS, required=False, default=MENTION, help_text="In a chat thread: when mentioned, or always."
    )


class NewBotSerializer(SettingsSerializer):
    """A bot that is not there yet."""

    name = serializers.CharField(max_length=80)
    runtime = serializers.ChoiceField(RUNTIMES)


class BotSerializer(serializers.Serializer[Any]):
    """A bot of the house, and how it thinks."""

    agent = AgentSerializer()
    is_set_up = serializers.BooleanField(help_text="Whether somebody has said how it thinks.")
    model = serializers.CharField(allow_blank=True)
    address = serializers.CharField(allow_blank=True)
    api = serializers.ChoiceField(APIS)
    key_secret = serializers.CharField(allow_blank=True, help_text="A name; the value is never told.")
    key_is_missing = serializers.BooleanField(source="misses_key")
    system_prompt = serializers.CharField(allow_blank=True)
    answers = serializers.ChoiceField(ANSWERS)
    problem = serializers.CharField(allow_blank=True, help_text="What keeps it from thinking, with what to do.")


class BotPageSerializer(PageSerializer):
    """Some bots."""

    results = BotSerializer(many=True)


class NewBudgetSerializer(Strict):
    """Limits from now on; null is no limit."""

    run_tokens = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=MOST_TOKENS)
    run_usd = serializers.DecimalField(
        required=False, allow_null=True, min_value=0, max_value=MOST_USD, max_digits=12, decimal_places=6
    )
    month_tokens = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=MOST_TOKENS)
    month_usd = serializers.DecimalField(
        required=False, allow_null=True, min_value=0, max_value=MOST_USD, max_digits=12, decimal_places=6
    )


class BudgetSerializer(serializers.Serializer[Any]):
    """How much may be spent: by each run, and in a calendar month (UTC). Tokens of all kinds count."""

    agent = AgentSerializer(allow_null=True, help_text="The bot; null for the house.")
    run_tokens = serializers.IntegerField(allow_null=True)
    run_usd = serializers.DecimalField(allow_null=True, max_digits=12, decimal_places=6)
    month_tokens = serializers.IntegerField(allow_null=True)
    month_usd = serializers.DecimalField(allow_null=True, max_digits=12, decimal_places=6)
    updated_at = serializers.DateTimeField()


class BudgetPageSerializer(PageSerializer):
    """Some budgets."""

    results = BudgetSerializer(many=True)


class BotsView(HouseView):
    @operation("list_bots", "bots", query=PageQuery, gives=BotPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The bots of the house, newest first, also those that nobody has set up."""
        told = page(bots_here(), AgentSerializer, self.asked(PageQuery), by="created_at")
        agents = Agent.objects.in_bulk([one["id"] for one in told.data["results"]])
        each = Bot.objects.of_each(agents[UUID(one["id"])] for one in told.data["results"])
        return Response({**told.data, "results": BotSerializer(each, many=True).data})

    @operation("create_bot", "bots", takes=NewBotSerializer, gives=BotSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """A new bot in the house, set up at once; for whoever has x on it."""
        return answer(BotSerializer, welcome_bot_set_up(self.house, by=self.agent, **self.sent(NewBotSerializer)), 201)

    def reachable(self, told: Any) -> None:
        require(self.agent, R, self.house)


class BotView(HouseView):
    row = Bot, "agent_id", "agent"

    @operation("get_bot", "bots", gives=BotSerializer)
    def get(self, request: Request, house: str, agent: UUID) -> Response:
        """One bot."""
        return answer(BotSerializer, self._bot())

    @operation("set_up_bot", "bots", takes=SettingsSerializer, gives=BotSerializer)
    def put(self, request: Request, house: str, agent: UUID) -> Response:
        """Exactly so it thinks from now on; for whoever has x on the house. Runs that go on keep what they have."""
        bot = Bot.objects.set_up(self._agent(), by=self.agent, **self.sent(SettingsSerializer))
        return answer(BotSerializer, bot)

    @operation("forget_bot_settings", "bots")
    def delete(self, request: Request, house: str, agent: UUID) -> Response:
        """It stays a member, and does nothing until somebody sets it up again; for whoever has x on the house."""
        self._bot().forget(by=self.agent)
        return Response(status=204)

    def _agent(self) -> Agent:
        return found(bots_here(), NO_BOT, pk=self.kwargs["agent"])

    def _bot(self) -> Bot:
        (bot,) = Bot.objects.of_each([self._agent()])
        return bot


class BudgetsView(HouseView):
    @operation("list_budgets", "bots", query=PageQuery, gives=BudgetPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The limits of the house and of its bots, latest change first."""
        rows = Budget.objects.select_related("agent")
        return page(rows, BudgetSerializer, self.asked(PageQuery), by="updated_at")


class LimitsView(HouseView):
    """What a bot, or the house, may spend."""

    def _limit(self, agent: Agent | None) -> Response:
        return answer(BudgetSerializer, Budget.objects.limit(agent, by=self.agent, **self.sent(NewBudgetSerializer)))

    def _budget(self, agent: Agent | None) -> Budget:
        budget = Budget.objects.of(agent)
        if budget is None:
            raise NotFound("Nothing limits it but what the house allows." if agent else "Nothing limits this house.")
        return budget


class BudgetView(LimitsView):
    @operation("get_budget", "bots", gives=BudgetSerializer)
    def get(self, request: Request, house: str, agent: UUID) -> Response:
        """What one bot may spend."""
        return answer(BudgetSerializer, self._budget(self._whose(agent)))

    @operation("set_budget", "bots", takes=NewBudgetSerializer, gives=BudgetSerializer)
    def put(self, request: Request, house: str, agent: UUID) -> Response:
        """Exactly these limits from now on, also for runs that go on; for whoever has x on the house."""
        return self._limit(self._whose(agent))

    @operation("lift_budget", "bots")
    def delete(self, request: Request, house: str, agent: UUID) -> Response:
        """No limits of its own; for whoever has x on the house."""
        self._budget(self._whose(agent)).lift(by=self.agent)
        return Response(status=204)

    def _whose(self, agent: UUID) -> Agent:
        return found(bots_here(), NO_BOT, pk=agent)


class HouseBudgetView(LimitsView):
    @operation("get_house_budget", "bots", gives=BudgetSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What the house may spend, and any one run in it."""
        return answer(BudgetSerializer, self._budget(None))

    @operation("set_house_budget", "bots", takes=NewBudgetSerializer, gives=BudgetSerializer)
    def put(self, request: Request, house: str) -> Response:
        """Exactly these limits from now on, for everything that any bot does here; for whoever has x on the house."""
        return self._limit(None)

    @operation("lift_house_budget", "bots")
    def delete(self, request: Request, house: str) -> Response:
        """No limits but those of each bot; for whoever has x on the house."""
        self._budget(None).lift(by=self.agent)
        return Response(status=204)


def bots_here() -> "QuerySet[Agent]":
    """The bots of this house."""
    return Agent.objects.bots()
