"""Rows are locked before streams: whoever speaks in a thread while its run comes to rest does not stand in its way."""

from django.db import connection

from houses.tenancy import inside
from streams.outbox import announce
from tests.agents.conftest import until
from tests.agents.scenarios import say
from threads.events import Message
from threads.models import Thread

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def somebody_waits():
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return cursor.fetchone()[0] > 0


def test_somebody_speaks_while_a_run_comes_to_rest(crew, thread, ada, model, machines):
    run = crew.hand(thread, say("hold", name="end"), bot=crew.bot("Pia", "pi"), by=ada)
    aside = crew.aside(run)
    model.awaits(scenario="hold")
    crew.comes(run, "signal.dispatch.session_started")
    with inside(crew.house, ada):
        here = Thread.objects.select_for_update(no_key=True).get(pk=run.thread_id)  # as who says something does
        model.let_go("end")
        until(somebody_waits, "the end of the run, which waits for the thread")
        announce(here, Message(text="One moment."), by=ada)
    aside.join()
    assert crew.status(run) == ("completed", "")
    assert "One moment." in [event["payload"]["text"] for event in crew.events(run.thread, "message")]
