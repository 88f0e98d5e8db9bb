"""A bot works in a thread as long as it is in the house and may write there, whoever asked it to."""

import shutil
import tempfile
from pathlib import Path

import pytest

from houses.giving import give
from houses.models import House, Member
from houses.refusals import Forbidden
from houses.tenancy import inside
from sandboxes.models import Sandbox
from tests.agents import impostors
from threads.models import Thread

AT_WORK = 'echo \'{"type":"agent_start"}\'; exec sleep 6012'
NO_WRITER = "Stopped: Pia, who does it, may not write in this thread any more."


@pytest.fixture
def machines(machines, settings):
    """With a program that works without end in the place of an agent's."""
    folder = Path(tempfile.mkdtemp(prefix="arbe-programs-"))
    machines.programs = settings.RUNTIMES = impostors.install(folder / "programs", "pi", AT_WORK)
    yield machines
    shutil.rmtree(folder)


@pytest.fixture
def pia(crew):
    return crew.bot("Pia", "pi")


def shut_out(bot, scope, ada, oak):
    with inside(oak, ada):
        give(bot, scope, "none", by=ada)


def test_a_bot_that_is_shut_out_does_not_begin(crew, pia, thread, oak, ada):
    run = crew.hand(thread, "Count the pears.", bot=pia, by=ada)
    shut_out(pia, House(pk=oak.pk), ada, oak)
    crew.follow(run)
    assert crew.status(run) == ("cancelled", "no_longer_allowed") and run.reason == NO_WRITER
    with inside(oak):
        assert not Sandbox.objects.exists()


def test_a_bot_that_may_not_write_in_the_thread_any_more_is_ended(crew, pia, thread, oak, ada):
    run = crew.hand(thread, "Count the pears.", bot=pia, by=ada)
    aside = crew.aside(run)
    crew.comes(run, "run_started")
    shut_out(pia, Thread(pk=run.thread_id), ada, oak)
    aside.join(60)
    assert not aside.is_alive()
    assert crew.status(run)[0] == "cancelled" and run.reason == NO_WRITER


def test_a_bot_that_drives_a_thread_stays_in_the_house_and_it_is_said_what_to_do(crew, pia, thread, oak, ada):
    crew.hand(thread, "Count the pears.", bot=pia, by=ada)
    with inside(oak, ada):
        with pytest.raises(Forbidden, match=r"Pia drives threads .* grant it nothing on the house"):
            Member.objects.of(pia).leave(by=ada)
        assert Member.objects.of(pia) is not None and pia.driven.count() == 1
