"""Whatever is killed, stopped or ended, nothing acknowledged is lost and nothing happens twice."""

import os
import signal
import threading
import time

import httpx
import pytest

from tests.acceptance.hands import Hand, Workshop
from tests.acceptance.system import System, is_alive, running, until

pytestmark = pytest.mark.timeout(180)

LONG = f"4711{os.getpid()}"  # in seconds; the same test may run elsewhere on this machine at the same time
SLOWLY = "for n in $(seq 1 {count}); do echo line $n; sleep {pause}; done"


@pytest.fixture(scope="module")
def shop(ada: Hand) -> Workshop:
    """A repository in which a slow step was run once."""
    shop = ada.workshop("hardships")
    shop.write("seed.txt", b"one\n")
    assert shop.run("echo ready")["status"] == "completed"
    return shop


def lines(count: int) -> str:
    return "".join(f"line {n}\n" for n in range(1, count + 1))


def test_a_step_whose_worker_is_killed_is_completed_and_recorded_once(system: System, shop: Workshop):
    first = shop.run("cat seed.txt > made.txt; " + SLOWLY.format(count=40, pause=0.1))
    assert first["status"] == "completed"
    shop.write("seed.txt", b"two\n")
    make = shop.hand.post(f"threads/{shop.thread}/makes/", target="made.txt")["id"]
    [child] = until_children(shop, make)
    until(lambda: shop.hand.events(child["stream"], "command_output"))

    for worker in system.processes("worker"):
        worker.kill()
    made = shop.rest("makes", make, within=60)

    assert made["status"] == "completed", made["reason"]
    [command] = made["commands"]
    assert (command["status"], command["exit_code"]) == ("completed", 0)
    [started, finished] = shop.hand.events(child["stream"], "command_started", "command_finished")
    assert (started["type"], finished["payload"]["status"]) == ("command_started", "completed")
    assert shop.output(command["id"], child["stream"]) == lines(40)
    derivations = shop.hand.get(f"repositories/{shop.repository}/derivations/", path="made.txt")["results"]
    assert sum(one["command_id"] == command["id"] for one in derivations) == 1
    assert sum(one["current"] for one in derivations) == 1
    assert len(shop.hand.events(child["stream"], "artifact_made")) == 1
    assert shop.read("made.txt") == b"two\n" and shop.stale() == {}


def test_output_is_whole_and_in_order_though_the_web_process_is_killed(system: System, shop: Workshop):
    command = shop.begin(SLOWLY.format(count=80, pause=0.05))
    until(lambda: printed(shop, command), pause=0.02)
    [web] = system.processes("arbe.asgi:application")
    web.kill()
    web.wait(5)
    until(lambda: answers(system))

    assert shop.rest("commands", command)["status"] == "completed"
    assert shop.output(command) == lines(80)
    assert len([e for e in shop.events("command_finished") if e["payload"]["command_id"] == command]) == 1


def test_two_watchers_see_the_same(shop: Workshop, bo: Hand):
    with shop.watch() as one, shop.held_by(bo).watch(cookies=bo.person.cookies) as other:
        command = shop.run(SLOWLY.format(count=10, pause=0.02))["id"]
        last = shop.events()[-1]["seq"]
        for watcher in (one, other):
            until(lambda watcher=watcher: watcher.events and watcher.events[-1]["seq"] == last)
        assert one.story == other.story
        assert [event["seq"] for event in one.events] == [event["seq"] for event in shop.events()]
        assert any(command in event["html"] and "line 10" in event["html"] for event in other.events)


def test_nobody_from_next_door_watches(shop: Workshop, cy: Hand):
    closed = [shop.held_by(cy).watch(), shop.held_by(cy).watch(cookies=cy.person.cookies)]
    stranger = Workshop(cy, shop.repository, shop.environment, shop.thread, shop.stream)
    closed.append(stranger.watch())
    for watcher in closed:
        with watcher:
            until(lambda watcher=watcher: watcher.socket.close_code is not None)
            assert (watcher.socket.close_code, watcher.events) == (4404, [])


def test_a_stop_ends_all_that_a_command_started(shop: Workshop):
    away = f"(setsid sh -c 'trap : TERM HUP; sleep {LONG}.25 & sleep {LONG}.5; sleep {LONG}.75' &)"
    command = shop.begin(f"{away} ; sleep {LONG}")
    until(lambda: all(running("sleep", f"{LONG}{end}") for end in ("", ".25", ".5")))
    asked = time.monotonic()
    shop.stop(command)
    until(lambda: not any(running("sleep", f"{LONG}{end}") for end in ("", ".25", ".5", ".75")), within=2, pause=0.01)
    assert time.monotonic() - asked < 2
    stopped = shop.rest("commands", command)
    assert (stopped["status"], stopped["reason"]) == ("cancelled", "Stopped by Ada.")


def test_an_end_by_sigterm_loses_nothing_that_was_acknowledged(system: System, shop: Workshop):
    left_running = shop.begin(f"echo begun; sleep {LONG}.125")
    until(lambda: printed(shop, left_running))
    said: list[str] = []
    speakers = [threading.Thread(target=talk, args=[shop, said, name]) for name in ("left", "right")]
    for speaker in speakers:
        speaker.start()
    until(lambda: len(said) >= 20)

    ran = system.end(signal.SIGTERM, within=10)
    for speaker in speakers:
        speaker.join(30)
    assert system.process.returncode == 0
    assert not [one for one in ran if is_alive(one)] and not running("sleep", f"{LONG}.125")

    system.start()
    until(lambda: len(heard(shop)) >= len(said))
    kept = heard(shop)
    assert set(said) <= set(kept) and len(kept) == len(set(kept))
    for name in ("left", "right"):
        numbers = [int(text.split()[1]) for text in kept if text.startswith(name)]
        assert numbers == sorted(numbers)
    ended = shop.rest("commands", left_running)
    assert ended["status"] in ("failed", "cancelled") and ended["reason"]
    assert shop.output(left_running) == "begun\n"
    assert shop.read("made.txt") == b"two\n"
    assert shop.run("cat seed.txt")["status"] == "completed"


def until_children(shop: Workshop, make: str) -> list[dict]:
    found: list[dict] = []

    def begun() -> bool:
        made = shop.hand.get(f"threads/{shop.thread}/makes/{make}/")
        found[:] = [shop.hand.get(f"threads/{command['thread']}/") for command in made["commands"]]
        return bool(found)

    until(begun)
    return found


def printed(shop: Workshop, command: str) -> bool:
    return any(e["payload"]["command_id"] == command for e in shop.events("command_output"))


def answers(system: System) -> bool:
    try:
        return httpx.get(f"{system.url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def talk(shop: Workshop, said: list[str], name: str) -> None:
    """Say one thing after another until nobody answers; remember what was acknowledged."""
    for number in range(100_000):
        text = f"{name} {number}"
        try:
            answer = shop.hand.ask("POST", f"threads/{shop.thread}/messages/", json={"text": text})
        except httpx.TransportError:
            return
        if answer.status_code != 201:
            return
        said.append(text)


def heard(shop: Workshop) -> list[str]:
    return [e["payload"]["text"] for e in shop.events("message")]
