"""Grants, for operators."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from houses.agents import Agent
from houses.giving import withdraw
from houses.models import Grant
from houses.operators import HouseFilter, Looking
from houses.scope_finding import scope_granted


@admin.register(Grant)
class GrantAdmin(Looking):
    """One bit that somebody was given on one scope; withdrawing takes all of that agent's there."""

    list_display = ("user", "house", "content_type", "object_pk", "permission", "granted_by", "granted_at")
    list_filter = (HouseFilter, "permission__codename")
    list_select_related = ("user", "house", "content_type", "permission__content_type", "granted_by")
    search_fields = ("user__name", "object_pk", "house__name")
    ordering = ("-granted_at",)
    actions = ("withdraw",)

    @admin.action(description="Withdraw: what holds above holds again")
    def withdraw(self, request: HttpRequest, rows: QuerySet[Grant]) -> None:
        self.act(request, rows, self.withdraw_one, "withdrawn")

    @staticmethod
    def withdraw_one(grant: Grant, by: Agent) -> None:
        withdraw(grant.user, scope_granted(grant), by=by)
