"""What the operators' admin is made of: it looks into every house, changes no field, and acts through verbs."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from houses.agents import Agent
from houses.answers import refused_page
from houses.models import House
from houses.refusals import Forbidden, Refused
from houses.tenancy import inside

OPERATOR = "operator"  # the database role that sees the rows of every house; for reading alone
MANY = 100
FACTOR_HOLDS = 12 * 3600  # seconds after which a second factor is asked for again
Rows = QuerySet[Any]
Verb = Callable[[Any, Agent], object]

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
else:  # generic for type checkers alone
    Admin = admin.ModelAdmin


class OperatorSite(admin.AdminSite):
    """For operators whose session passed a second factor that they still have, not long ago.

    Whoever looks into every house shows twice who they are.
    """

    site_header = site_title = "arbe, for operators"

    def has_permission(self, request: HttpRequest) -> bool:
        agent = request.user
        if not isinstance(agent, Agent) or not agent.is_active or not agent.is_operator:
            return False
        since = time.time() - FACTOR_HOLDS
        records = get_authentication_records(request, agent)
        shown = [one.get("id") for one in records if one["method"] == "mfa" and one["at"] > since]
        return bool(shown) and Authenticator.objects.filter(user=agent, pk__in=[pk for pk in shown if pk]).exists()

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What is still missing: to sign in, to be an operator, to set a factor up, or to show it."""
        asked = request.GET.get(REDIRECT_FIELD_NAME) or request.get_full_path()
        wanted = asked if asked.startswith("/admin/") else reverse("admin:index")
        if not isinstance(request.user, Agent):
            return redirect_to_login(wanted)
        if not request.user.is_operator:
            return refused_page(request, Forbidden("This is for the operators of this installation."))
        if is_mfa_enabled(request.user):
            return redirect_to_login(wanted, reverse("mfa_reauthenticate"))
        messages.info(
            request, "What operators see asks for a second factor. Set one up here; it is asked for from now on."
        )
        return redirect_to_login(wanted, reverse("mfa_activate_totp"))


class HouseFilter(admin.SimpleListFilter):
    """By house. Django's own filter would look for houses as the app role, which sees none."""

    title = "house"
    parameter_name = "house"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        houses = House.objects.using(OPERATOR).order_by("name")[:MANY]
        return [(house.pk, house.name) for house in houses]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        return queryset.filter(house=self.value()) if self.value() else queryset


class Looking(Admin):
    """Rows to look at, of every house."""

    hidden: tuple[str, ...] = ()
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Rows:
        rows: Rows = self.model._default_manager.using(OPERATOR).all()
        return rows.order_by(*(self.get_ordering(request) or ("-pk",)))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        own = [field.name for field in self.model._meta.concrete_fields if field.name not in self.hidden]
        return [*own, *map(str, self.readonly_fields)]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def act(self, request: HttpRequest, rows: Rows, verb: Verb, done: str, *, outside: bool = False) -> None:
        """Say the verb to each row, in its house, by whoever is at the screen; what is refused says why.

        With `outside` the verb opens the house itself, because it waits for a machine meanwhile.
        """
        assert isinstance(request.user, Agent)
        request.user.oversees = True
        for row in rows:
            try:
                self._say(row, verb, request.user, outside)
            except Refused as refused:
                self.message_user(request, f"{row}: {refused.detail}", messages.ERROR)
                continue
            self.log_change(request, row, done)
            self.message_user(request, f"{row}: {done}.", messages.SUCCESS)

    def _say(self, row: Any, verb: Verb, by: Agent, outside: bool) -> None:
        # What was looked at came by the operator's connection; what acts is bound to its house like everybody.
        with inside(row.house_id, by):
            mine = self.model._default_manager.get(pk=row.pk)
            if not outside:
                verb(mine, by)
        if outside:
            verb(mine, by)
