"""Pages of threads: the house's list, a thread with its log, and what one does with it."""

import re
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from houses.coming_in import agent_of
from houses.finding import found
from houses.models import House
from houses.pages import PageRequest, in_house
from houses.refusals import Refused
from sandboxes.models import Environment
from streams.client import StreamError
from threads import file_pages, work_pages
from threads.models import Command, Thread
from threads.reading import around, before
from threads.work_pages import done

BUSY = Exists(Command.objects.unfinished().filter(thread=OuterRef("pk")))
RUN = re.compile(r"\$\s+(.+)", re.DOTALL)
MAKE = re.compile(r"make\s+(\S+)\s*")


@in_house
def house(request: HttpRequest, house: House) -> HttpResponse:
    """Every thread, the last touched first."""
    tag = request.GET.get("tag", "")
    find = request.GET.get("find", "").strip()
    # A search and a tag look into child threads too; without them those stand under their parents.
    threads = Thread.objects.tagged(tag) if tag else Thread.objects.all()
    threads = threads if tag or find else threads.filter(parent_thread=None)
    threads = threads.filter(name__icontains=find) if find else threads
    number = request.GET.get("page", "1")
    page = Paginator(threads.annotate(is_busy=BUSY).order_by("-updated_at", "pk"), 50).get_page(number)
    older = "?" + urlencode({"page": page.next_page_number(), "tag": tag, "find": find}) if page.has_next() else ""
    context = {"house": house, "threads": page.object_list, "tag": tag, "find": find, "next": older, "here": "threads"}
    return render(request, "threads/house.html", context)


@in_house
@require_POST
def threads(request: HttpRequest, house: House) -> HttpResponse:
    """Open a thread, or a child of one."""
    parent = thread_of(request.POST["parent"]) if request.POST.get("parent") else None
    opened = Thread.objects.open_in(house, by=agent_of(request), name=request.POST.get("name"), parent=parent)
    return redirect("thread", house.pk, opened.pk)


@in_house
def thread(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    """The log, live, from its end; or from around one entry (`?at=`), or the page before one (`?before=`)."""
    one = thread_of(thread_id)
    try:
        log = before(one, request.GET["before"]) if "before" in request.GET else around(one, request.GET.get("at"))
    except StreamError:
        detail = "The log cannot be read right now; what is said here still arrives. Try again in a moment."
        return render(
            request, "threads/thread.html", _shown(house, one) | {"detail": detail, "last_seq": "-1"}, status=503
        )
    address = reverse("thread", args=[house.pk, one.pk])
    context = {"log": log.html, "earlier": f"{address}?before={log.earlier}" if log.earlier else ""}
    if request.htmx and "before" in request.GET:
        return render(request, "threads/_entries.html", context)
    return render(request, "threads/thread.html", _shown(house, one) | context | {"last_seq": log.last_seq})


def _shown(house: House, one: Thread) -> dict[str, Any]:
    environment = _environment(one)
    return {
        "house": house,
        "thread": one,
        "parent": one.parent_thread,
        "children": list(one.children.order_by("-created_at")[:30]),
        "environment": environment and {"name": environment.name, "network": environment.config.get("network", False)},
        "upload": environment and reverse("upload", args=[house.pk, environment.config["repository"]]),
        "socket": f"/ws/threads/{house.pk}/{one.pk}",
    }


def _environment(one: Thread) -> Environment | None:
    try:
        return one.resolve_environment()
    except Refused:
        return None


@in_house
@require_POST
def composer(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    """Plain text says, a leading `$` runs, `make PATH` makes."""
    one, by, text = thread_of(thread_id), agent_of(request), request.POST.get("text", "").strip()
    if command := RUN.fullmatch(text):
        one.run(command[1], by=by)
    elif target := MAKE.fullmatch(text):
        one.make(target[1], by=by)
    else:
        one.say(text, by=by)
    return done(request, one)


@in_house
@require_POST
def thread_pin(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(thread_id)
    (one.pin if request.POST.get("pinned") else one.unpin)(by=agent_of(request))
    return done(request, one)


@in_house
@require_POST
def thread_name(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(thread_id)
    one.rename(request.POST.get("name", ""), by=agent_of(request))
    return done(request, one)


@in_house
@require_POST
def thread_tags(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(thread_id)
    one.tag(request.POST.get("tags", "").split(","), by=agent_of(request))
    return done(request, one)


@in_house
@require_POST
def thread_closed(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(thread_id)
    (one.close if request.POST.get("closed") else one.reopen)(by=agent_of(request))
    return done(request, one)


@in_house
@require_POST
def thread_stop(request: PageRequest, house: House, thread_id: str) -> HttpResponse:
    one = thread_of(thread_id)
    one.stop(by=agent_of(request))
    return done(request, one)


def thread_of(thread_id: str) -> Thread:
    threads = Thread.objects.select_related("parent_thread")
    return found(threads, "There is no such thread in this house.", pk=thread_id)


HERE = "houses/<str:house_id>/"
THREAD = HERE + "threads/<str:thread_id>/"

urlpatterns = [
    path(HERE, house, name="house"),
    path(HERE + "threads/", threads, name="threads"),
    path(THREAD, thread, name="thread"),
    path(THREAD + "composer/", composer, name="thread_composer"),
    path(THREAD + "completions/", work_pages.completions, name="thread_completions"),
    path(THREAD + "pin/", thread_pin, name="thread_pin"),
    path(THREAD + "name/", thread_name, name="thread_name"),
    path(THREAD + "tags/", thread_tags, name="thread_tags"),
    path(THREAD + "closed/", thread_closed, name="thread_closed"),
    path(THREAD + "stop/", thread_stop, name="thread_stop"),
    path(HERE + "commands/<str:command_id>/", work_pages.command, name="command"),
    path(HERE + "commands/<str:command_id>/stop/", work_pages.command_stop, name="command_stop"),
    path(HERE + "makes/<str:make_id>/stop/", work_pages.make_stop, name="make_stop"),
    path(HERE + "make/", work_pages.make, name="make"),
    path(HERE + "files/<str:repository_id>/", file_pages.tree, name="repository"),
    path(HERE + "files/<str:repository_id>/tree/<path:path>/", file_pages.tree, name="tree"),
    path(HERE + "files/<str:repository_id>/file/<path:path>", file_pages.file, name="file"),
    path(HERE + "made/", file_pages.made, name="made"),
    path(HERE + "plan/", work_pages.plan, name="plan"),
]
