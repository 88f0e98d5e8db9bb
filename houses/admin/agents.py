"""People and bots, for operators: made here, let in and out, and helped when they are locked out."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from houses.agents import BOT, HUMAN, RUNTIMES, Agent
from houses.credentials import sign_in_address
from houses.identity import take_factors_off
from houses.models import SignInLink
from houses.refusals import Refused

if TYPE_CHECKING:
    Form = forms.ModelForm[Agent]
    Users = UserAdmin[Agent]
else:  # generic for type checkers alone
    Form, Users = forms.ModelForm, UserAdmin


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
            take_factors_off(agent)
            self._did(request, agent, "comes in without a second factor")

    @admin.action(description="Deactivate: they are out of every house at once")
    def deactivate(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        for agent in rows.exclude(pk=str(request.user.pk)):  # nobody shuts themselves out by a slip
            agent.deactivate()
            self._did(request, agent, "is out of every house")

    @admin.action(description="Let them in again")
    def reactivate(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        for agent in rows:
            agent.reactivate()
            self._did(request, agent, "may come in again")

    def _did(self, request: HttpRequest, agent: Agent, done: str) -> None:
        self.log_change(request, agent, done)
        self.message_user(request, f"{agent} {done}.", messages.SUCCESS)
