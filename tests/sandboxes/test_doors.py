"""How a door is opened: from the outside, into the network of a sandbox that has none."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sandboxes import doors, lifetimes
from sandboxes.local import Local
from sandboxes.provider import Door
from tests.sandboxes.test_provider_contract import CALL, HERE, Machine, carrying, eventually, wardens_of
from tests.sandboxes.upstream import Upstream


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    local = Local(closed / "sandboxes")
    if problem := local.check():
        pytest.skip(problem)
    machine = Machine(local, "oak")
    yield machine
    local.destroy(machine.ref)


def test_a_process_that_is_gone_has_no_network_to_enter():
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(OSError, match="No such file"):
        doors.listen_inside(gone.pid)


def test_a_sandbox_that_cannot_be_set_up_says_why_although_it_has_doors(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    ended, output = machine.run("true", cwd="/home/agent/nowhere", doors=(door,), takes_input=True)
    assert ended.reason == "not_started" and "nowhere" in output


def test_inside_there_is_a_loopback_with_one_listener_and_nothing_else(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    _, output = machine.run("cat /proc/net/dev | tail -n +3 | cut -d: -f1; tail -n +2 /proc/net/tcp", doors=(door,))
    lines = output.split("\n")
    assert lines[0].strip() == "lo" and "0100007F:1054" in lines[1] and lines[2:] == [""]


def test_two_commands_of_one_sandbox_have_doors_of_their_own(machine):
    with Upstream(b"HTTP/1.1 200 OK\r\n\r\none") as one, Upstream(b"HTTP/1.1 200 OK\r\n\r\ntwo") as two:
        wait = ("python3", "-c", "import time; time.sleep(0.2)" + CALL)
        first = machine.start(wait, doors=(Door(prefix="model", url=one.url),))
        second = machine.start(wait, doors=(Door(prefix="model", url=two.url),))
        machine.ended(first)
        machine.ended(second)
        assert (machine.output(first), machine.output(second)) == ("200 one\n", "200 two\n")


def test_each_command_is_told_another_nonce(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    told = {machine.run("echo $ARBE_DOOR", doors=(door,))[1] for _ in range(3)}
    assert len(told) == 3 and all(one.startswith("http://127.0.0.1:4180/") for one in told)


def test_a_command_cannot_keep_its_relay(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    process = machine.start("setsid sleep 600 & sleep 0.3", env={"MARK": f"relay-1-{HERE}"}, doors=(door,))
    machine.ended(process)
    eventually(lambda: not wardens_of(machine, process), 2)
    assert carrying(f"relay-1-{HERE}") == []


def test_a_warden_that_dies_takes_its_relay_along(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    process = machine.start("echo up; sleep 600", env={"MARK": f"relay-2-{HERE}"}, doors=(door,))
    machine.until(process, "up")
    warden = machine.provider.root / machine.ref / "processes" / process / "warden.pid"
    lifetimes.send(warden.read_text(), 9)
    assert machine.ended(process).reason == "lost"
    eventually(lambda: not wardens_of(machine, process), 2)
    assert carrying(f"relay-2-{HERE}") == []


def test_a_relay_that_is_killed_is_followed_by_another(machine):
    with Upstream() as upstream:
        door = Door(prefix="model", url=upstream.url)
        process = machine.start(
            ("python3", "-c", f"print('up', flush=True); input(); {CALL}"), doors=(door,), takes_input=True
        )
        machine.until(process, "up")
        relay = relay_of(machine, process)
        os.kill(relay, 9)
        machine.provider.send(machine.ref, process, "1", b"go\n")
        assert machine.ended(process).code == 0 and machine.output(process) == "up\n200 hi\n"


def test_a_relay_that_dies_with_its_command_changes_nothing(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    process = machine.start("echo up; read -r a; exit 3", doors=(door,), takes_input=True)
    machine.until(process, "up")
    os.kill(relay_of(machine, process), 9)
    machine.provider.send(machine.ref, process, "1", b"go\n")
    assert machine.ended(process).code == 3


def relay_of(machine, process):
    """The one process beside the warden that is a copy of it, once the command is up."""
    warden = (machine.provider.root / machine.ref / "processes" / process / "warden.pid").read_text().split()[0]
    (relay,) = eventually(
        lambda: [
            pid
            for pid in wardens_of(machine, process)
            if pid != int(warden) and b"sandboxes.warden" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
    )
    return relay


def test_the_relay_does_not_count_as_the_command(machine):
    with Upstream() as upstream:
        plain, _ = machine.run("true")
        ended, _ = machine.run("true", doors=(Door(prefix="model", url=upstream.url),))
        assert ended.memory_bytes < 2 * plain.memory_bytes


def test_relay_and_warden_need_nothing_but_the_standard_library():
    source = (
        "import sys; sys.path.append('.');import sandboxes.doors, sandboxes.relay, sandboxes.watch; print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True).stdout
    modules = {name.partition(".")[0] for name in said.split()}
    assert modules - set(sys.stdlib_module_names) == {"__main__", "sandboxes"}
    assert not {"ssl", "asyncio", "http", "dataclasses"} & modules, (
        "each would take its time and its memory in every run"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_whoever_is_not_root_opens_doors_too(tmp_path_factory):
    """In a copy of arbe's own that everybody may read: what is tested is who may enter the network."""
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("It takes an interpreter that everybody may start.")
    source = f"""
import os, sys, tempfile
from pathlib import Path
copy = Path(sys.argv[1])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.path.insert(0, str(copy))
from sandboxes.local import Local
from sandboxes.provider import Door, Exec
local = Local(copy / "var")
assert (problem := local.check()) is None, problem
local.create("oak")
door = Door(prefix="model", url=sys.argv[2])
local.exec("oak", Exec(process_id="p", command=("python3", "-c", {CALL!r}), doors=(door,)))
while local.poll("oak", "p") is None:
    local.wait("oak", "p", 1 << 60, 1)
print(local.read("oak", "p").decode(), end="")
local.destroy("oak")
"""

    with tempfile.TemporaryDirectory(dir="/tmp") as copy, Upstream() as upstream:
        shutil.copytree(Path(doors.__file__).parent, Path(copy) / "sandboxes", ignore=shutil.ignore_patterns("*.pyc"))
        for path in (Path(copy), *Path(copy).rglob("*")):
            os.chown(path, 65534, 65534)
        words = ["/usr/bin/python3", "-c", source, copy, upstream.url]
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd="/", timeout=60)
        assert done.stdout == "200 hi\n", done.stderr
