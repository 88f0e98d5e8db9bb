"""A task goes on, or rests with the true reason, whatever is killed; and its story is told once."""

import shutil
import signal
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from tests.acceptance.hands import Hand, Workshop
from tests.acceptance.system import System, is_alive, until
from tests.acceptance.tasks import Task, bot, disagreements, none_left, waits
from tests.acceptance.test_hardships import answers
from tests.agents.model import KEY, Model
from tests.agents.scenarios import say, shell
from tests.runtimes import runtime

pytestmark = pytest.mark.timeout(120)

KILLED = {"worker": "worker", "web": "arbe.asgi:application", "redis": "redis-server", "postgres": "postgres"}


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(KEY).start()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def shop(ada: Hand, model: Model) -> Workshop:
    """A repository, and Pia, who does what the model says."""
    runtime("pi")
    shop = ada.workshop("tasks")
    shop.write("seed.txt", b"one\n")
    bot(ada, "Pia", "pi", model)
    return shop


@pytest.fixture(scope="module", autouse=True)
def everything_agrees(system: System, shop: Workshop) -> Iterator[None]:
    """When all of it is over, rows, streams and what the programs printed tell the same."""
    yield
    wrong, figures = disagreements(shop.hand)
    assert wrong == [] and figures["runs heard again"] > 0
    assert none_left(system.var)


def gated(name: str) -> str:
    """Two tools, the first of which waits for the test, and prints before and after."""
    first = f"echo began; echo one >> {name}.txt; {waits('go')}; seq 200"
    return say("chain", steps=[shell(first), shell(f"echo two >> {name}.txt; cat {name}.txt")], then=f"Both {name}.")


def kill(system: System, whom: str) -> list[psutil.Process]:
    """Those of its processes that `up` started, with -9."""
    mine = psutil.Process(system.process.pid).children()
    found = [one for one in mine if any(KILLED[whom] in word for word in one.cmdline())]
    assert found
    for one in found:
        one.kill()
    until(lambda: not any(map(is_alive, found)))
    return found


@pytest.mark.parametrize("whom", KILLED)
def test_a_task_goes_on_though_somebody_is_killed_in_the_middle(
    system: System, shop: Workshop, model: Model, whom: str
):
    task = Task.handed(shop, "Pia", gated(whom))
    task.comes("pi.tool_output", text="began\n")
    place = task.place / "home"
    kill(system, whom)
    (place / "go").touch()
    model.awaits(scenario="chain", turn=2, user=gated(whom))  # which nobody of arbe is needed for
    until(lambda: answers(system))
    run = task.rests()
    assert (run["status"], run["reason"], task.status) == ("completed", "", "completed")
    kinds = Counter(event["type"] for event in task.events())
    once = ("run_queued", "run_started", "run_finished", "signal.dispatch.session_started", "pi.assistant")
    assert {kind: kinds[kind] for kind in once} == dict.fromkeys(once, 1)
    assert kinds["pi.tool_call"] == kinds["pi.tool_result"] == 2 and kinds["signal.thread.status_changed"] == 2
    assert shop.read(f"{whom}.txt") == b"one\ntwo\n"


@pytest.mark.parametrize(("what", "code"), [("program", "orphaned"), ("warden", "lost")])
def test_an_agent_that_is_killed_has_failed_and_that_is_said_soon(shop: Workshop, what: str, code: str):
    task = Task.handed(shop, "Pia", gated(what))
    task.comes("pi.tool_output", text="began\n")
    running = task.processes()
    getattr(task, what)().send_signal(signal.SIGKILL)
    run = task.rests(within=30)
    assert (run["status"], task.status) == ("failed", "failed") and run["reason"].endswith(".")
    [finished] = task.payloads("run_finished")
    assert finished["code"] == code
    signals = [event["type"] for event in task.events("signal.thread.pi_session_orphaned", "signal.thread.pi_failed")]
    assert signals == ["signal.thread.pi_session_orphaned" if code == "orphaned" else "signal.thread.pi_failed"]
    until(lambda: not any(map(is_alive, running)), within=5)


def test_a_task_whose_machine_is_destroyed_is_picked_up_on_another_one(shop: Workshop):
    task = Task.handed(shop, "Pia", say("write", file="kept.txt", content="kept\n"))
    assert task.rests()["status"] == "completed"
    task.say(gated("lost"))
    task.comes("pi.tool_output", text="began\n")
    first = task.place
    task.warden().kill()
    shutil.rmtree(first)
    run = task.rests(within=30)
    assert (run["status"], task.status) == ("failed", "failed")
    assert "sandbox" in run["reason"] or "machine" in run["reason"]

    task.say("And now? " + say("count"))
    until(lambda: task.last["id"] != run["id"])
    again = task.rests()
    assert again["status"] == "completed" and task.place != first
    [resumed] = task.payloads("sandbox_resumed")
    assert resumed["sandbox_id"] == again["sandbox"] and resumed["restored_from"]
    assert resumed["lost"].startswith("What changed after")
    last = task.payloads("run_finished")[-1]
    assert "I was told 2 things" in last["summary"], "what it was told before its machine died is gone"
    assert (task.place / "tree" / "kept.txt").read_text() == "kept\n"
    assert not (task.place / "tree" / "lost.txt").exists()
