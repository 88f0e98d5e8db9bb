"""The inbox: what waits for whoever looks, who called them, and how what they asked for has ended."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from houses.finding import found
from houses.indoors import PageRequest, agent_of, in_house
from houses.models import House
from threads.inbox import FAILED, FINISHED, MENTION, WAITING
from threads.models import InboxEntry

PER_PAGE = 50
WORDS = {WAITING: "waits on you", MENTION: "mentioned you", FAILED: "could not finish", FINISHED: "has finished"}
ICONS = {WAITING: "warn", MENTION: "thread", FAILED: "close", FINISHED: "check"}


@in_house(needs=None)
@require_safe
def inbox(request: HttpRequest, house: House) -> HttpResponse:
    """What there is to look at; what waits for an answer first, and then the newest."""
    mine = InboxEntry.objects.of(agent_of(request)).select_related("thread", "by")
    is_all = "all" in request.GET
    page = Paginator(mine if is_all else mine.to_do(), PER_PAGE).get_page(request.GET.get("page"))
    rows = [_told(one) for one in page.object_list]
    context = {
        "house": house,
        "here": "inbox",
        "waiting": [row for row in rows if row["kind"] == WAITING and not row["entry"].is_done],
        "others": [row for row in rows if row["kind"] != WAITING or row["entry"].is_done],
        "is_all": is_all,
        "next": f"?page={page.next_page_number()}{'&all=1' if is_all else ''}" if page.has_next() else "",
    }
    return render(request, "threads/inbox.html", context)


def _told(one: InboxEntry) -> dict[str, Any]:
    return {"entry": one, "kind": one.kind, "words": WORDS[one.kind], "icon": ICONS[one.kind]}


@in_house(needs=None)
@require_POST
def entry(request: PageRequest, house: House, entry_id: str) -> HttpResponse:
    """Open it, which reads it; or say that it is done, or is to be looked at again."""
    by = agent_of(request)
    one = found(InboxEntry.objects.of(by), "There is no such entry in your inbox.", pk=entry_id)
    if "done" in request.POST:
        one.done(by=by)
        return redirect("inbox", house.pk)
    if "unread" in request.POST:
        one.unread(by=by)
        return redirect("inbox", house.pk)
    one.read(by=by)
    return redirect("thread", house.pk, one.thread_id)
