"""Bots as houses set them up, and what they may spend, for operators; what a bot is told is its house's own."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from houses.models import Bot, Budget
from houses.operators import HouseFilter, Looking


@admin.register(Bot)
class BotAdmin(Looking):
    list_display = ("agent", "house", "model", "address", "api", "answers", "updated_at")
    list_filter = (HouseFilter, "api")
    list_select_related = ("house", "agent")
    search_fields = ("agent__name", "model", "address", "id", "house__name")
    ordering = ("-updated_at",)
    hidden = ("system_prompt",)
    actions = ("forget",)

    @admin.action(description="Forget how they think: they do nothing until somebody sets them up again")
    def forget(self, request: HttpRequest, rows: QuerySet[Bot]) -> None:
        self.act(request, rows, lambda bot, by: bot.forget(by=by), "forgotten")


@admin.register(Budget)
class BudgetAdmin(Looking):
    list_display = ("__str__", "house", "run_tokens", "run_usd", "month_tokens", "month_usd", "updated_at")
    list_filter = (HouseFilter,)
    list_select_related = ("house", "agent")
    search_fields = ("agent__name", "id", "house__name")
    ordering = ("-updated_at",)
    actions = ("lift",)

    @admin.action(description="Lift these limits")
    def lift(self, request: HttpRequest, rows: QuerySet[Budget]) -> None:
        self.act(request, rows, lambda budget, by: budget.lift(by=by), "lifted")
