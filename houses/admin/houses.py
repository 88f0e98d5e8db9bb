"""Houses, their tokens, and the names of their secrets, for operators."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from houses.models import House, Member, Secret, SecretDelivery, Token
from houses.operators import OPERATOR, HouseFilter, Looking


@admin.register(House)
class HouseAdmin(Looking):
    list_display = ("name", "id", "how_many", "created_at")
    search_fields = ("name", "id")
    ordering = ("name",)
    readonly_fields = ("members",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[House]:
        houses: QuerySet[House] = super().get_queryset(request)
        return houses.annotate(how_many=Count("members"))

    @admin.display(description="members", ordering="how_many")
    def how_many(self, house: Any) -> int:
        return int(house.how_many)

    @admin.display(description="members")
    def members(self, house: House) -> SafeString:
        """Here, because the admin has no pages for rows with a key of two columns."""
        members = Member.objects.using(OPERATOR).filter(house=house).select_related("agent").order_by("joined_at")
        rows = ((str(one.agent), one.agent.kind, one.role, one.joined_at.date()) for one in members)
        return format_html_join("", "<div>{} · {} · {} · since {}</div>", rows)


@admin.register(Token)
class TokenAdmin(Looking):
    list_display = ("name", "house", "agent", "bits", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = (HouseFilter, "expires_at")
    list_select_related = ("house", "agent")
    search_fields = ("name", "agent__name", "house__name")
    ordering = ("-created_at",)
    hidden = ("digest",)
    actions = ("revoke",)

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, rows: QuerySet[Token]) -> None:
        self.act(request, rows, lambda token, by: token.revoke(by=by), "revoked")


@admin.register(Secret)
class SecretAdmin(Looking):
    """Names. There is nothing here to read a value by."""

    list_display = ("name", "house", "created_at")
    list_filter = (HouseFilter,)
    list_select_related = ("house",)
    search_fields = ("name", "house__name")
    ordering = ("house", "name")
    hidden = ("vault_secret_id",)


@admin.register(SecretDelivery)
class SecretDeliveryAdmin(Looking):
    """Which secret went into which run."""

    list_display = ("name", "version", "house", "agent", "command_id", "redactions", "delivered_at")
    list_filter = (HouseFilter,)
    list_select_related = ("house", "agent")
    search_fields = ("name", "command_id", "house__name")
    ordering = ("-delivered_at",)
