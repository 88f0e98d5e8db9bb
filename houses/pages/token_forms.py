"""What a form says about a token: what it may do, and for how long."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from houses.agents import Agent
from houses.models import House, Token
from houses.refusals import Invalid

DAYS = {"7": "a week", "30": "a month", "90": "90 days", "365": "a year"}


def asked(request: HttpRequest) -> dict[str, Any]:
    """The arguments of the verb, as far as the form has them."""
    given: dict[str, Any] = {}
    if bits := request.POST.get("bits"):
        given["bits"] = bits
    if days := request.POST.get("days"):
        if days not in DAYS:
            raise Invalid(f"A token lives for {', '.join(DAYS.values())}.")
        given["expires_at"] = timezone.now() + timedelta(days=int(days))
    return given


def shown_once(token: Token, text: str, house: House, *, by: Agent) -> dict[str, str]:
    """The one time that its text is seen."""
    until = f"until {token.expires_at:%-d %B %Y}. It is shown this once."
    if token.agent_id == by.pk:
        words = f"Whoever holds it is you in {house}, as far as {token.bits} goes, {until}"
        return {"title": f"Your token “{token}”", "words": words, "value": text}
    words = f"The token speaks for it in this house, as far as {token.bits} goes, {until}"
    return {"title": f"{token.agent} comes in with this token", "words": words, "value": text}
