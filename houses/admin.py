"""Houses, agents, tokens and the names of secrets, for operators."""

from typing import TYPE_CHECKING, Any

from allauth.mfa.models import Authenticator
from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from houses import grant_admin, mutation_admin, record_admin  # noqa: F401  # their classes register themselves
from houses.agents import BOT, HUMAN, RUNTIMES, Agent
from houses.credentials import sign_in_address
from houses.models import House, Member, Secret, SecretDelivery, SignInLink, Token
from houses.operators import OPERATOR, HouseFilter, Looking
from houses.refusals import Refused

if TYPE_CHECKING:
    Form = forms.ModelForm[Agent]
    Users = UserAdmin[Agent]
else:  # generic for type checkers alone
    Form, Users = forms.ModelForm, UserAdmin

admin.site.unregister(Group)  # rights are not given by groups here
for theirs in ("account", "mfa", "socialaccount", "usersessions"):  # people see to these themselves, under their name
    admin.site.unregister(
        [model for model in apps.get_app_config(theirs).get_models() if model in admin.site._registry]
    )


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


class NewAgentForm(Form):
    """Somebody new: a person with an e-mail address, or a bot with a runtime."""

    kind = forms.ChoiceField(choices=[(HUMAN, "person"), (BOT, "bot")])
    name = forms.CharField(max_length=80)
    email = forms.EmailField(required=False, help_text="Of a person.")
    runtime = forms.ChoiceField(choices=[("", "—"), *((one, one) for one in RUNTIMES)], required=False)

    class Meta:
        model = Agent
        fields = ("kind", "name", "email", "runtime", "is_operator")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if given.get("kind") == BOT and not given.get("runtime"):
            raise forms.ValidationError("A bot names its runtime.")
        if given.get("kind") == HUMAN and not given.get("email"):
            raise forms.ValidationError("A person has an e-mail address.")
        # Each kind has one of the two; the other would be refused by the database.
        given |= {"email": None} if given.get("kind") == BOT else {"runtime": None}
        given["is_operator"] = given.get("is_operator", False) and given.get("kind") == HUMAN
        return given


@admin.register(Agent)
class AgentAdmin(Users):
    """People and bots, who belong to no house: made here, given a password or a link, let in and out."""

    list_display = ("name", "email", "kind", "runtime", "is_active", "is_operator", "last_login", "created_at")
    list_filter = ("kind", "runtime", "is_active", "is_operator")
    search_fields = ("name", "email")
    ordering = ("name",)
    filter_horizontal = ()
    fieldsets = ((None, {"fields": ("name", "email", "kind", "runtime", "password", "is_active", "is_operator")}),)
    add_fieldsets = ((None, {"fields": NewAgentForm.Meta.fields}),)
    add_form = NewAgentForm  # Django's own asks for a password at once
    actions = ("make_link", "take_factor_off", "deactivate", "reactivate")

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        return ("name", "email", "kind", "runtime", "is_active", "is_operator") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        return False  # what somebody said and made stays theirs

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        if change:
            return
        given = form.cleaned_data
        if given["kind"] == BOT:
            made = Agent.objects.create_bot(given["name"], given["runtime"])
        else:
            made = Agent.objects.create_human(given["name"], given["email"], is_operator=given["is_operator"])
        obj.pk = made.pk
        obj._state.adding = False

    @admin.action(description="Make a sign-in link")
    def make_link(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        for agent in rows:
            try:
                link = sign_in_address(SignInLink.objects.make(agent))
            except Refused as refused:
                self.message_user(request, f"{agent}: {refused.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{agent} comes in once, within a day, by {link}", messages.SUCCESS)

    @admin.action(description="Take their second factor off: they lost it, and their recovery codes")
    def take_factor_off(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        for agent in rows:
            Authenticator.objects.filter(user=agent).delete()
            self.log_change(request, agent, "without a second factor")
            self.message_user(request, f"{agent} comes in without a second factor.", messages.SUCCESS)

    @admin.action(description="Deactivate: they are out of every house at once")
    def deactivate(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        for agent in rows.exclude(pk=str(request.user.pk)):  # nobody shuts themselves out by a slip
            agent.deactivate()
            self.log_change(request, agent, "deactivated")

    @admin.action(description="Let them in again")
    def reactivate(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        for agent in rows:
            agent.reactivate()
            self.log_change(request, agent, "let in again")
