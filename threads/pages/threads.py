"""Pages of threads: the house's list, a thread with its log, and what one does with it."""

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from houses.agents import Agent
from houses.finding import found
from houses.indoors import PageRequest, agent_of, in_house
from houses.models import House
from houses.refusals import Invalid
from houses.rights import right, rights
from houses.scopes import R, W
from streams.client import StreamError
from threads.log.reading import Log, around, before
from threads.models import Command, InboxEntry, Thread
from threads.pages.composer import offered
from threads.pages.work import done

logger = logging.getLogger(__name__)

# Here, or in a thread that work went to from here: lists name those that stand under no other.
HERE_OR_BELOW = Q(thread=OuterRef("pk")) | Q(thread__parent_thread=OuterRef("pk"))
BUSY = Exists(Command.objects.unfinished().filter(HERE_OR_BELOW))
WAITING_HERE = InboxEntry.objects.open_questions().filter(HERE_OR_BELOW)
LINK_LIVES = {"3600": "for 1 hour", "86400": "for 1 day", "604800": "for 7 days"}


def waited_for_by(agent: Agent) -> dict[str, Exists]:
    """Whether a thread waits for somebody, and for this one."""
    return {"is_waiting": Exists(WAITING_HERE), "is_mine": Exists(WAITING_HERE.filter(agent=agent))}


@in_house(needs=None)
def house(request: HttpRequest, house: House) -> HttpResponse:
    """Every thread one may read, the last touched first."""
    tag = request.GET.get("tag", "")
    find = request.GET.get("find", "").strip()
    bits = right(agent_of(request), house).bits
    # A search and a tag look into child threads too; without them those stand under their parents. A guest of a child
    # does not see the parent.
    threads = Thread.objects.readable_by(agent_of(request))
    threads = threads.tagged(tag) if tag else threads
    threads = threads if tag or find or R not in bits else threads.filter(parent_thread=None)
    threads = threads.filter(name__icontains=find) if find else threads
    threads = threads.annotate(is_busy=BUSY, **waited_for_by(agent_of(request))).order_by("-updated_at", "pk")
    page = Paginator(threads, 50).get_page(request.GET.get("page", "1"))
    older = "?" + urlencode({"page": page.next_page_number(), "tag": tag, "find": find}) if page.has_next() else ""
    context = {
        "house": house,
        "threads": page.object_list,
        "tag": tag,
        "find": find,
        "next": older,
        "here": "threads",
        "may_open": W in bits,
    }
    return render(request, "threads/house.html", context)


@in_house(needs=None)
@require_POST
def threads(request: HttpRequest, house: House) -> HttpResponse:
    """Open a thread, or a child of one."""
    parent = thread_of(request, request.POST["parent"]) if request.POST.get("parent") else None
    opened = Thread.objects.open_in(house, by=agent_of(request), name=request.POST.get("name"), parent=parent)
    return redirect("thread", house.pk, opened.pk)


@in_house(needs=None)
def thread(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    """The log, live, from its end; or from around one entry (`?at=`), or the page before one (`?before=`)."""
    one, reader = thread_of(request, thread_id), agent_of(request)
    try:
        log = _log(request, one, reader)
    except StreamError as error:
        logger.warning("the log of thread %s cannot be read: %s", one.pk, error)
        detail = "The log cannot be read right now; what is said here still arrives. Try again in a moment."
        shown = _shown(house, one, reader) | {"detail": detail, "last_seq": "-1"}
        return render(request, "threads/thread.html", shown, status=503)
    address = reverse("thread", args=[house.pk, one.pk])
    context = {"log": log.html, "earlier": f"{address}?before={log.earlier}" if log.earlier else ""}
    if request.htmx and "before" in request.GET:
        return render(request, "threads/_entries.html", context)
    shown = _shown(house, one, reader) | context | {"last_seq": log.last_seq}
    if request.method == "GET":
        InboxEntry.objects.seen(one, by=reader)
    return render(request, "threads/thread.html", shown)


def _log(request: HttpRequest, one: Thread, reader: Agent) -> Log:
    if "before" in request.GET:
        return before(one, request.GET["before"], reader)
    return around(one, request.GET.get("at"), reader)


def _shown(house: House, one: Thread, reader: Agent) -> dict[str, Any]:
    readable = Thread.objects.readable_by(reader)
    held = rights(reader, [house, one])
    return {
        "house": house,
        "thread": one,
        "parent": readable.filter(pk=one.parent_thread_id).first() if one.parent_thread_id else None,
        "children": readable.filter(parent_thread=one).count(),
        "waits_on_me": _waits_on(one, reader),
        "may_write": W in held[one.pk].bits,
        "link_lives": LINK_LIVES.items(),
        "socket": f"/ws/threads/{house.pk}/{one.pk}",
        **offered(house, one, reader, may_run=W in held[house.pk].bits),
    }


@in_house(needs=None)
@require_POST
def thread_pin(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(request, thread_id)
    (one.pin if request.POST.get("pinned") else one.unpin)(by=agent_of(request))
    return done(request, one)


@in_house(needs=None)
@require_POST
def thread_name(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(request, thread_id)
    one.rename(request.POST.get("name", ""), by=agent_of(request))
    return done(request, one)


@in_house(needs=None)
@require_POST
def thread_tags(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(request, thread_id)
    one.tag(request.POST.get("tags", "").split(","), by=agent_of(request))
    return done(request, one)


@in_house(needs=None)
@require_POST
def thread_closed(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(request, thread_id)
    (one.close if request.POST.get("closed") else one.reopen)(by=agent_of(request))
    return done(request, one)


@in_house(needs=None)
@require_POST
def thread_stop(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(request, thread_id)
    one.stop(by=agent_of(request), children="children" in request.POST)
    return done(request, one)


@never_cache
@in_house(needs=None)
@require_POST
def thread_links(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    """Make a read link; the answer is the one time that it is shown."""
    one, life = thread_of(request, thread_id), request.POST.get("life", "86400")
    if life not in LINK_LIVES:
        raise Invalid("A read link lives for 1 hour, 1 day or 7 days.")
    link, ends = one.share(timedelta(seconds=int(life)), by=agent_of(request))
    words = (
        "Whoever has this link reads everything in this thread, what is there and what comes, without signing in, "
        f"until {ends:%-d %B %Y, %H:%M} UTC; not longer than you may read it yourself. It is shown this once."
    )
    once = {"title": "A link to read along", "words": words, "value": link}
    return render(request, "threads/link.html", {"house": house, "thread": one, "once": once})


def _waits_on(one: Thread, reader: Agent) -> bool:
    return InboxEntry.objects.open_questions().filter(agent=reader, thread=one).exists()


def thread_of(request: HttpRequest, thread_id: str) -> Thread:
    threads = Thread.objects.readable_by(agent_of(request))
    return found(threads, "There is no such thread in this house.", pk=thread_id)
