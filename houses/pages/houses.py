"""Pages of the houses that somebody is in."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from houses.indoors import agent_of
from houses.membership import houses_of
from houses.models import House, Member
from houses.refusals import Refused
from houses.tenancy import as_agent


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The only house, if there is only one."""
    mine = houses_of(agent_of(request))
    return redirect("house", mine[0].pk) if len(mine) == 1 else redirect("houses")


@login_required
@require_http_methods(["GET", "POST"])
def houses(request: HttpRequest) -> HttpResponse:
    agent, context, status = agent_of(request), {}, 200
    if request.method == "POST":
        try:
            return redirect("house", House.objects.found(request.POST.get("name", ""), by=agent).pk)
        except Refused as refused:
            context, status = {"detail": refused.detail}, refused.status
    with as_agent(agent):
        roles = dict(Member.objects.filter(agent=agent).values_list("house_id", "role"))
    mine = [{"id": house.pk, "name": house.name, "my_role": roles.get(house.pk)} for house in houses_of(agent)]
    return render(request, "houses/houses.html", {"houses": mine, **context}, status=status)


urlpatterns = [
    path("", home, name="home"),
    path("houses/", houses, name="houses"),
]
