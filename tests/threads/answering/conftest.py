"""Oak has a bot that answers, Sage; its model says what a test wants."""

import os
import signal
import sys
import threading
import time

import pytest
from django.db import connection, connections

from houses.bots import Bot
from houses.models import Agent, Member, Secret
from houses.tenancy import inside
from tests.agents.model import KEY, Model
from tests.houses.furniture import sql
from threads.answering.aside import follow
from threads.models import Answer


@pytest.fixture
def model():
    server = Model(key=KEY).start()
    yield server
    server.stop()


@pytest.fixture
def bot(oak, ada, model):
    """`bot("Sage", answers="always")`: a bot of Oak with a model and its key."""

    def made(name, *, runtime="chat", key=KEY, **settings):
        agent = Agent.objects.create_bot(name, runtime)
        with inside(oak, ada):
            Member.objects.create(house=oak, agent=agent, role="member")
            Secret.objects.put("MODEL_KEY", key, by=ada)
            given = {"model": "any", "address": model.url, "key_secret": "MODEL_KEY", **settings}
            Bot.objects.create(house=oak, agent=agent, **given)
        return agent

    return made


@pytest.fixture
def sage(bot):
    return bot("Sage")


@pytest.fixture
def talk(told, oak, thread, var):
    """What is said in the thread, and who answers it."""
    return Talk(oak, thread, told)


class Talk:
    def __init__(self, house, thread, told):
        self.house, self.thread, self._told = house, thread, told

    def say(self, text, *, by):
        with inside(self.house, by):
            self.thread.say(text, by=by)

    def waiting(self):
        with inside(self.house):
            return list(Answer.objects.unfinished().order_by("created_at", "pk"))

    def claim(self, answer):
        with inside(self.house):
            return Answer.objects.claim(answer.pk)

    def answer(self, **options):
        """Whatever waits for an answer gets one, and what comes of that; returns how the last one ended."""
        for _ in range(20):
            waiting = self.waiting()
            if not waiting:
                return self.finished()[-1]
            for one in waiting:
                claimed = self.claim(one)
                if claimed is not None:
                    follow(claimed, **options)
        raise AssertionError("they do not come to an end")

    def ask(self, text, *, by):
        """Say it, and have it answered; how that ended."""
        self.say(text, by=by)
        return self.answer()

    def aside(self, answer, **options):
        """Answer in a thread; `.join()` it."""
        claimed = self.claim(answer)

        def following():
            try:
                follow(claimed, **options)
            finally:
                connection.close()

        thread = threading.Thread(target=following)
        thread.start()
        return thread

    def events(self, *kinds):
        return [event for event in self._told(self.thread) if event["type"] in kinds or not kinds]

    def finished(self):
        return [event["payload"] for event in self.events("thread_answer_finished")]

    def until(self, true):
        end = time.monotonic() + 20
        while not true():
            assert time.monotonic() < end, self.events()
            time.sleep(0.02)

    def streamed(self, answer_id):
        """The text as somebody has it who heard every part."""
        text = ""
        for event in self.events("thread_answer_part"):
            if event["payload"]["answer_id"] == answer_id:
                text = text[: event["payload"]["start"]] + event["payload"]["text"]
        return text

    def row(self, answer):
        with inside(self.house):
            return Answer.objects.get(pk=getattr(answer, "pk", answer))

    def lapse(self, answer):
        with inside(self.house):
            sql("UPDATE answers SET leased_until = now() - interval '1 second' WHERE id = %s", answer.pk)

    def killed(self, answer, at, moment, count=1):
        """Answer in a process of its own, killed the so-manieth time that it comes to that line."""
        claimed = self.claim(answer)
        connections.close_all()
        pid = os.fork()
        if pid == 0:
            left = iter(range(count - 1, -1, -1))
            sys.setprofile(lambda frame, event, _: _die(frame, event, at, moment, left))
            follow(claimed)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"never came to {at}"
        self.lapse(answer)


def _die(frame, event, at, moment, left):
    if event == moment and frame.f_code.co_qualname == at and next(left) == 0:
        os.kill(os.getpid(), signal.SIGKILL)
