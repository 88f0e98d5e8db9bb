"""Pages of threads: what is said and done in them, what came of it, what bots cost, and whom something waits for."""

from django.urls import path

from threads.pages import bots, composer, files, inbox, runs, secrets, threads, work

HERE = "houses/<str:house_id>/"
THREAD = HERE + "threads/<str:thread_id>/"

urlpatterns = [
    path(HERE, threads.house, name="house"),
    path(HERE + "threads/", threads.threads, name="threads"),
    path(THREAD, threads.thread, name="thread"),
    path(THREAD + "composer/", composer.composer, name="thread_composer"),
    path(THREAD + "completions/", composer.completions, name="thread_completions"),
    path(THREAD + "tasks/", composer.tasks, name="thread_tasks"),
    path(THREAD + "tree/", runs.tree, name="thread_tree"),
    path(THREAD + "pin/", threads.thread_pin, name="thread_pin"),
    path(THREAD + "name/", threads.thread_name, name="thread_name"),
    path(THREAD + "tags/", threads.thread_tags, name="thread_tags"),
    path(THREAD + "closed/", threads.thread_closed, name="thread_closed"),
    path(THREAD + "stop/", threads.thread_stop, name="thread_stop"),
    path(THREAD + "links/", threads.thread_links, name="thread_links"),
    path(HERE + "commands/<str:command_id>/", work.command, name="command"),
    path(HERE + "commands/<str:command_id>/stop/", work.command_stop, name="command_stop"),
    path(HERE + "runs/<str:run_id>/", runs.run, name="run"),
    path(HERE + "answers/<str:answer_id>/stop/", runs.answer_stop, name="answer_stop"),
    path(HERE + "waiting/<str:message_id>/", runs.waiting_message, name="waiting_message"),
    path(HERE + "inbox/", inbox.inbox, name="inbox"),
    path(HERE + "inbox/<str:entry_id>/", inbox.entry, name="inbox_entry"),
    path(HERE + "makes/<str:make_id>/stop/", work.make_stop, name="make_stop"),
    path(HERE + "make/", work.make, name="make"),
    path(HERE + "files/<str:repository_id>/", files.tree, name="repository"),
    path(HERE + "files/<str:repository_id>/tree/<path:path>/", files.tree, name="tree"),
    path(HERE + "files/<str:repository_id>/file/<path:path>", files.file, name="file"),
    path(HERE + "made/", files.made, name="made"),
    path(HERE + "plan/", work.plan, name="plan"),
    *secrets.urlpatterns,
    *bots.urlpatterns,
]
