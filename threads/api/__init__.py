"""The API of threads: what is said and done in them, and what making something would take."""

from django.urls import path

from threads.api.commands import CommandsView, CommandView, StopCommandView, StopThreadView
from threads.api.events import EventsView
from threads.api.inbox import InboxDoneView, InboxEntryView, InboxReadView, InboxView
from threads.api.links import LinksView
from threads.api.makes import MakesView, MakeView, PlanView, RepositoryMakesView, StopMakeView
from threads.api.runs import RunView, StopAnswerView, StopRunView
from threads.api.secrets import SecretDeliveriesView, SecretUsesView
from threads.api.spending import LimitsView, SpendingView, ThreadSpendingView
from threads.api.stories import LineageView, StaleView, WhyView
from threads.api.tasks import QuestionsView, RunsView, TasksView, WaitingMessagesView, WaitingMessageView
from threads.api.threads import (
    ClosingView,
    MessagesView,
    OneThreadView,
    PinView,
    TagsView,
    ThreadsView,
)

THREAD = "houses/<slug:house>/threads/<slug:thread>/"
KEPT = "houses/<slug:house>/secrets/<slug:name>/"
REPOSITORY = "houses/<slug:house>/repositories/<slug:repository>/"

urlpatterns = [
    path("houses/<slug:house>/threads/", ThreadsView.as_view()),
    path(THREAD, OneThreadView.as_view()),
    path(THREAD + "pin/", PinView.as_view()),
    path(THREAD + "tags/", TagsView.as_view()),
    path(THREAD + "closing/", ClosingView.as_view()),
    path(THREAD + "messages/", MessagesView.as_view()),
    path(THREAD + "events/", EventsView.as_view()),
    path(THREAD + "links/", LinksView.as_view()),
    path(THREAD + "stop/", StopThreadView.as_view()),
    path(THREAD + "commands/", CommandsView.as_view()),
    path(THREAD + "commands/<slug:command>/", CommandView.as_view()),
    path(THREAD + "commands/<slug:command>/stop/", StopCommandView.as_view()),
    path(THREAD + "tasks/", TasksView.as_view()),
    path(THREAD + "runs/", RunsView.as_view()),
    path(THREAD + "runs/<slug:run>/", RunView.as_view()),
    path(THREAD + "runs/<slug:run>/stop/", StopRunView.as_view()),
    path(THREAD + "answers/<slug:reply>/stop/", StopAnswerView.as_view()),
    path(THREAD + "questions/", QuestionsView.as_view()),
    path(THREAD + "waiting-messages/", WaitingMessagesView.as_view()),
    path(THREAD + "waiting-messages/<slug:message>/", WaitingMessageView.as_view()),
    path(THREAD + "plan/", PlanView.as_view()),
    path(THREAD + "makes/", MakesView.as_view()),
    path(THREAD + "makes/<slug:make>/", MakeView.as_view()),
    path(THREAD + "makes/<slug:make>/stop/", StopMakeView.as_view()),
    path(THREAD + "spending/", ThreadSpendingView.as_view()),
    path("houses/<slug:house>/spending/", SpendingView.as_view()),
    path("houses/<slug:house>/limits/<uuid:agent>/", LimitsView.as_view()),
    path("houses/<slug:house>/inbox/", InboxView.as_view()),
    path("houses/<slug:house>/inbox/<slug:entry>/", InboxEntryView.as_view()),
    path("houses/<slug:house>/inbox/<slug:entry>/read/", InboxReadView.as_view()),
    path("houses/<slug:house>/inbox/<slug:entry>/done/", InboxDoneView.as_view()),
    path(KEPT + "uses/", SecretUsesView.as_view()),
    path(KEPT + "deliveries/", SecretDeliveriesView.as_view()),
    path(REPOSITORY + "why/", WhyView.as_view()),
    path(REPOSITORY + "stale/", StaleView.as_view()),
    path(REPOSITORY + "lineage/", LineageView.as_view()),
    path(REPOSITORY + "makes/", RepositoryMakesView.as_view()),
]
