"""Threads and the work in them, for operators."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from houses.operators import HouseFilter, Looking
from threads.models import Answer, Command, Make, Spending, Thread


@admin.register(Thread)
class ThreadAdmin(Looking):
    list_display = ("__str__", "house", "status", "parent_thread", "environment", "created_at", "updated_at")
    list_filter = (HouseFilter, "status")
    list_select_related = ("house", "parent_thread", "environment")
    search_fields = ("name", "id", "house__name")
    ordering = ("-updated_at",)
    actions = ("close", "reopen", "stop")

    @admin.action(description="Close")
    def close(self, request: HttpRequest, rows: QuerySet[Thread]) -> None:
        self.act(request, rows, lambda thread, by: thread.close(by=by), "closed")

    @admin.action(description="Reopen")
    def reopen(self, request: HttpRequest, rows: QuerySet[Thread]) -> None:
        self.act(request, rows, lambda thread, by: thread.reopen(by=by), "reopened")

    @admin.action(description="Stop everything in it")
    def stop(self, request: HttpRequest, rows: QuerySet[Thread]) -> None:
        self.act(request, rows, lambda thread, by: thread.stop(by=by), "stopped")


@admin.register(Command)
class CommandAdmin(Looking):
    list_display = ("__str__", "house", "thread", "agent", "bot", "status", "exit_code", "created_at", "finished_at")
    list_filter = (HouseFilter, "status")
    list_select_related = ("house", "thread", "agent", "bot")
    search_fields = ("text", "id", "thread__id", "bot__name", "house__name")
    ordering = ("-created_at",)
    actions = ("stop",)

    @admin.action(description="Stop")
    def stop(self, request: HttpRequest, rows: QuerySet[Command]) -> None:
        self.act(request, rows, lambda command, by: command.stop(by=by), "asked to stop")


@admin.register(Make)
class MakeAdmin(Looking):
    list_display = ("target", "house", "thread", "agent", "status", "created_at", "finished_at")
    list_filter = (HouseFilter, "status")
    list_select_related = ("house", "thread", "agent")
    search_fields = ("target", "id", "house__name")
    ordering = ("-created_at",)
    actions = ("stop",)

    @admin.action(description="Stop")
    def stop(self, request: HttpRequest, rows: QuerySet[Make]) -> None:
        self.act(request, rows, lambda make, by: make.stop(by=by), "stopped")


@admin.register(Answer)
class AnswerAdmin(Looking):
    list_display = ("__str__", "house", "thread", "agent", "asked_by", "status", "created_at", "finished_at")
    list_filter = (HouseFilter, "status")
    list_select_related = ("house", "thread", "agent", "asked_by")
    search_fields = ("id", "thread__id", "agent__name", "house__name")
    ordering = ("-created_at",)
    hidden = ("done", "recipe")
    actions = ("stop",)

    @admin.action(description="Stop")
    def stop(self, request: HttpRequest, rows: QuerySet[Answer]) -> None:
        self.act(request, rows, lambda answer, by: answer.stop(by=by), "asked to stop")


@admin.register(Spending)
class SpendingAdmin(Looking):
    list_display = (
        "run",
        "house",
        "thread",
        "agent",
        "model",
        "input_tokens",
        "output_tokens",
        "usd",
        "priced_by",
        "at",
    )
    list_filter = (HouseFilter, "priced_by")
    list_select_related = ("house", "thread", "agent")
    search_fields = ("run", "model", "thread__id", "agent__name", "house__name")
    ordering = ("-at",)
