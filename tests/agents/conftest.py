"""Oak with bots that run the real agents' programs, in sandboxes, against a model that says what a test wants."""

import shutil
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from houses.models import Agent, Bot, Member, Secret
from houses.tenancy import inside
from sandboxes import providers
from tests.agents import impostors
from tests.agents.model import KEY, Model
from tests.runtimes import FOLDER, runtime
from tests.threads.conftest import Worker
from tests.threads.conftest import environment as environment  # noqa: PLC0414  # a fixture
from tests.threads.conftest import repository as repository  # noqa: PLC0414  # a fixture
from tests.threads.conftest import thread as thread  # noqa: PLC0414  # a fixture
from threads.models import Command, Thread

APIS = {"pi": "openai-completions", "claude-code": "anthropic-messages", "codex": "openai-responses"}
EXECUTABLES = {"pi": "node", "claude-code": "claude", "codex": "codex"}


@pytest.fixture
def model():
    """What the bots think with; only the key of Oak opens it."""
    model = Model(KEY).start()
    yield model
    model.stop()


@pytest.fixture(params=APIS)
def agent(request):
    """Each of the programs, one after the other."""
    runtime(request.param)
    return request.param


@pytest.fixture
def machines(var, settings):
    """The provider, for this test's folder alone, with the real programs; nothing of it is left."""
    settings.RUNTIMES = FOLDER
    providers.provider.cache_clear()
    machine = providers.provider("local")
    yield machine
    for ref in machine.list():
        machine.destroy(ref)
    providers.provider.cache_clear()


@pytest.fixture
def instead(settings, machines):
    """`instead(name, script)`: that program does this from now on."""
    folder = Path(tempfile.mkdtemp(prefix="arbe-programs-"))

    def done(name, script):
        settings.RUNTIMES = impostors.install(folder / "programs", name, script)
        machines.programs = settings.RUNTIMES

    yield done
    shutil.rmtree(folder)


@pytest.fixture
def key(oak, ada, environment):
    """The secret of Oak that opens the model."""
    with inside(oak, ada):
        return Secret.objects.put("MODEL_KEY", KEY, by=ada).name


@pytest.fixture
def crew(told, environment, oak, model, key, machines):
    """Does what workers do for bots, when asked; whoever still follows when the test is over finds the machine gone."""
    crew = Crew(oak, told, model, key)
    yield crew
    for ref in machines.list() if any(aside.is_alive() for aside in crew.asides) else ():
        machines.destroy(ref)
    for aside in crew.asides:
        aside.join(60)


@pytest.fixture
def bot(crew, agent):
    """A bot of Oak with that program."""
    return crew.bot("Pia", agent)


@pytest.fixture
def write(repository, oak, ada):
    def written(path, text, by=ada):
        with inside(oak, by):
            repository.write(path, text.encode(), by=by)

    return written


@pytest.fixture
def read(repository, oak):
    def text(path):
        with inside(oak):
            return repository.read(path).decode()

    return text


class Crew(Worker):
    """A worker that also knows the model of its bots."""

    def __init__(self, house, told, model, key):
        super().__init__(house, told)
        self.model, self.key, self.asides = model, key, []

    def aside(self, command):
        self.asides.append(super().aside(command))
        return self.asides[-1]

    def bot(self, name, runtime, **settings):
        bot = Agent.objects.create_bot(name, runtime)
        api = settings.setdefault("api", APIS[runtime])
        settings.setdefault("address", self.model.root if api == "anthropic-messages" else self.model.url)
        with inside(self.house):
            Member.objects.create(house=self.house, agent=bot, role="member")
            Bot.objects.create(house=self.house, agent=bot, **{"model": "m", "key_secret": self.key, **settings})
        return bot

    def hand(self, thread, text, *, bot, by, **options):
        """Delegate; returns the child thread's run, which waits."""
        with inside(self.house, by):
            return self.last(thread.delegate(text, bot=bot, by=by, **options))

    def done(self, thread, text, *, bot, by, **options):
        """Delegate, and see it through."""
        run = self.hand(thread, text, bot=bot, by=by, **options)
        self.follow(run)
        return run

    def last(self, child):
        """The newest run of a thread that a bot drives."""
        with inside(self.house):
            return Command.objects.runs().filter(thread=child).select_related("thread").latest("created_at")

    def say(self, run, text, *, by, **options):
        with inside(self.house, by):
            run.thread.say(text, by=by, **options)

    def next(self, run):
        """See the run through that followed that one in its thread."""
        following = self.last(run.thread)
        assert following.pk != run.pk
        self.follow(following)
        return following

    def events(self, thing, kind=None):
        with inside(self.house):
            thread = thing if isinstance(thing, Thread) else thing.thread
        mine = [e for e in self.told(thread) if thing is thread or e["payload"].get("run_id", thing.pk) == thing.pk]
        return [event for event in mine if kind in (None, event["type"])]

    def comes(self, thing, kind, **like):
        """The first event of that kind, with that in it, when it has come."""
        found = []

        def look():
            told = self.events(thing, kind)
            found[:] = [e["payload"] for e in told if all(e["payload"].get(k) == v for k, v in like.items())]
            return found

        until(look, f"{kind} {like} in {[event['type'] for event in self.events(thing)]}")
        return found[0]

    def status(self, run):
        """That of its thread, and of the run itself with its code."""
        with inside(self.house):
            thread = Thread.objects.get(pk=run.thread_id)
        self.again(run)
        finished = self.payload(run, "run_finished")
        assert run.status == finished["status"] == thread.status
        return run.status, finished["code"]

    def statuses(self, run):
        return [event["payload"]["status"] for event in self.events(run, "signal.thread.status_changed")]

    def again(self, row):
        with inside(self.house):
            row.refresh_from_db()
            row.thread = Thread.objects.get(pk=row.thread_id)

    def place(self, run):
        self.again(run)
        return run.sandbox_id

    def processes(self, run, machines):
        """Everything that runs for it on this machine, its warden and the relay of its doors among it."""
        warden = (machines.root / self.place(run) / "processes" / run.pk / "warden.pid").read_text()
        first = psutil.Process(int(warden.split()[0]))
        return [first, *first.children(recursive=True)]

    def program(self, run, machines):
        """The agent's program itself."""
        wanted = EXECUTABLES[run.recipe["runtime"]]
        (found,) = [one for one in self.processes(run, machines) if executable(one) == wanted]
        return found


def executable(process):
    try:
        return process.exe().rpartition("/")[2]
    except psutil.Error:
        return ""


def until(true, what, within=60):
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, f"it did not come to {what}"
        time.sleep(0.02)


def living(processes):
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
