"""What every provider of machines promises; a new one is added to PROVIDERS and has to pass."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from sandboxes.local import Local
from sandboxes.provider import Exec, Exit, Limits, ProviderError

PROVIDERS = {"local": Local}
HERE = os.getpid()  # in every mark: the same test may run elsewhere on this machine at the same time
QUICK = Limits(memory_mb=512, wall_seconds=20, output_mb=1, file_mb=64)


class Machine:
    """A sandbox under test, with short words for what the tests do over and over."""

    def __init__(self, provider, sandbox_id):
        self.provider, self.count = provider, 0
        self.ref = provider.create(sandbox_id, QUICK)

    def start(self, command, **kwargs):
        self.count += 1
        process_id = kwargs.pop("process_id", f"p{self.count}")
        limits = Limits(**{**QUICK.__dict__, **kwargs.pop("limits", {})})
        self.provider.exec(self.ref, Exec(process_id=process_id, command=command, limits=limits, **kwargs))
        return process_id

    def output(self, process_id):
        return self.provider.read(self.ref, process_id, 0, 10_000_000).decode()

    def until(self, process_id, text):
        return eventually(lambda: text in self.output(process_id) and self.output(process_id))

    def ended(self, process_id) -> Exit:
        return eventually(lambda: self.provider.poll(self.ref, process_id))

    def run(self, command, **kwargs):
        process_id = self.start(command, **kwargs)
        return self.ended(process_id), self.output(process_id)


def eventually(question, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.01)
    raise AssertionError("it never came true")


def carrying(mark):
    """Processes of this host with the mark in their environment or on their command line."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        for file in ("environ", "cmdline"):
            try:
                if mark.encode() in Path(f"/proc/{name}/{file}").read_bytes() and int(name) != os.getpid():
                    found.append((int(name), file))
            except OSError:
                continue
    return found


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request, tmp_path_factory):
    closed = tmp_path_factory.mktemp("closed")  # the sandbox's own user may not even look in
    closed.chmod(0o700)
    provider = PROVIDERS[request.param](closed / "sandboxes")
    if problem := provider.check():
        pytest.skip(problem)
    yield provider
    for ref in provider.list():
        provider.destroy(ref)


@pytest.fixture(scope="module")
def machine(provider):
    return Machine(provider, "oak")


@pytest.fixture
def fresh(provider, request):
    machine = Machine(provider, f"fresh-{time.monotonic_ns()}")
    yield machine
    provider.destroy(machine.ref)


# Running


def test_a_command_prints_into_its_output_and_says_how_it_ended(machine):
    ended, output = machine.run("echo out; echo err >&2; exit 3")
    assert output == "out\nerr\n"
    assert (ended.reason, ended.code, ended.signal, ended.output_bytes) == ("exited", 3, None, 8)
    assert ended.started_at <= ended.finished_at


def test_a_list_of_words_is_not_given_to_a_shell(machine):
    assert machine.run(("printf", "%s|", "a b", "$HOME"))[1] == "a b|$HOME|"


def test_output_is_there_while_the_command_runs_and_from_any_offset(machine):
    process = machine.start("echo first; sleep 0.3; echo second")
    assert machine.until(process, "first") == "first\n"
    assert machine.provider.poll(machine.ref, process) is None
    assert not machine.provider.wait(machine.ref, process, 6, timeout=0.01)
    assert machine.provider.wait(machine.ref, process, 6, timeout=5)
    machine.ended(process)
    assert machine.provider.read(machine.ref, process, 3, 4) == b"st\ns"
    assert machine.provider.read(machine.ref, process, 99) == b""


def test_the_same_process_id_is_started_once(machine):
    for _ in range(3):
        process = machine.start("echo once >> ~/once; cat ~/once", process_id="same")
    machine.ended(process)
    machine.start("echo once >> ~/once; cat ~/once", process_id="same")
    assert machine.output("same") == "once\n"


def test_a_signal_is_told(machine):
    ended, _ = machine.run("kill -9 $$")
    assert (ended.reason, ended.code, ended.signal) == ("exited", 137, 9)


def test_a_word_that_is_no_program_is_said_in_the_output(machine):
    ended, output = machine.run(("no-such-program",))
    assert ended.code == 127 and "no-such-program" in output


def test_a_folder_that_is_not_there_is_said_in_the_output(machine):
    ended, output = machine.run("true", cwd="/home/agent/nowhere")
    assert ended.reason == "not_started" and "nowhere" in output


def test_the_same_process_id_asked_for_at_once_is_started_once(machine):
    command = Exec(process_id="crowd", command="echo once >> ~/crowd; cat ~/crowd")
    crowd = [Thread(target=machine.provider.exec, args=(machine.ref, command)) for _ in range(5)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    machine.ended("crowd")
    assert machine.output("crowd") == "once\n"


def test_several_commands_run_at_once_in_one_home(machine):
    first = machine.start("until [ -e ~/flag ]; do sleep 0.02; done; echo seen")
    machine.run("touch ~/flag")
    machine.ended(first)
    assert machine.output(first) == "seen\n"


def test_a_pipe_that_nobody_reads_ends_its_writer(machine):
    assert machine.run("yes | head -1")[1] == "y\n"


def test_a_process_outlives_whoever_started_it(machine):
    source = f"""
import os, sys, signal
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
from sandboxes.local import Local
from sandboxes.provider import Exec
orphan = Exec(process_id="orphan", command="echo a; sleep 0.5; echo b")
Local(Path({str(machine.provider.root)!r})).exec({machine.ref!r}, orphan)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == -9
    assert machine.provider.poll(machine.ref, "orphan") is None
    assert machine.ended("orphan").code == 0
    assert machine.output("orphan") == "a\nb\n"


def test_what_a_command_leaves_running_ends_with_it(machine):
    began = time.monotonic()
    ended, output = machine.run(f"setsid sleep 17171{HERE} & echo done")
    assert (ended.reason, output) == ("exited", "done\n") and time.monotonic() - began < 2
    assert not carrying(f"17171{HERE}")


@pytest.mark.parametrize("name", ["../oak", "", "a/b", ".hidden", "a\0b", "x" * 65])
def test_a_name_that_could_lead_elsewhere_is_refused(machine, name):
    with pytest.raises(ProviderError):
        machine.provider.exec(machine.ref, Exec(process_id=name, command="true"))
    with pytest.raises(ProviderError):
        machine.provider.destroy(name)


def test_a_nul_cannot_smuggle_in_an_option():
    for bad in ({"env": {"A": "b\0--bind\0/\0/host"}}, {"cwd": "/\0--bind"}, {"env": {"A=B": "c"}}):
        with pytest.raises(ProviderError):
            Exec(process_id="p", command="true", **bad)


# Ending

ESCAPE = """
import os, sys, time, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3): os.close(fd)
        time.sleep(600)
    os._exit(0)
print("away", flush=True)
time.sleep(600)
"""


def test_stop_ends_even_what_forked_twice_and_left_the_session(machine):
    process = machine.start(("python3", "-c", ESCAPE), env={"MARK": f"runaway-7-{HERE}"})
    machine.until(process, "away")
    eventually(lambda: len(carrying(f"runaway-7-{HERE}")) >= 2)
    began = time.monotonic()
    machine.provider.stop(machine.ref, process)
    assert time.monotonic() - began < 2
    assert carrying(f"runaway-7-{HERE}") == []
    assert machine.ended(process).reason == "stopped"
    machine.provider.stop(machine.ref, process)
    assert machine.ended(process).reason == "stopped"


def test_a_command_may_say_goodbye_when_it_is_stopped(machine):
    process = machine.start("trap 'echo bye; exit 0' TERM; echo ready; sleep 60 & wait")
    machine.until(process, "ready")
    machine.provider.stop(machine.ref, process)
    assert machine.output(process) == "ready\nbye\n" and machine.ended(process).reason == "stopped"


def test_stopping_what_has_ended_or_never_was_changes_nothing(machine):
    process = machine.start("true")
    machine.ended(process)
    machine.provider.stop(machine.ref, process)
    assert machine.ended(process).reason == "exited"
    machine.provider.stop(machine.ref, "never-was")
    assert machine.provider.poll(machine.ref, "never-was").reason == "lost"


def test_destroy_leaves_no_process_and_no_file(provider):
    machine = Machine(provider, "elm")
    for _ in range(2):
        machine.until(machine.start(("python3", "-c", ESCAPE), env={"MARK": f"runaway-8-{HERE}"}), "away")
    machine.run("mkdir -p closed/inner; ln -s /etc/passwd link; chmod 000 closed")
    assert machine.ref in provider.list() and provider.alive(machine.ref)
    provider.destroy(machine.ref)
    assert not provider.alive("elm") and "elm" not in provider.list()
    assert carrying(f"runaway-8-{HERE}") == []
    provider.destroy("elm")
    with pytest.raises(ProviderError):
        machine.start("true")


def test_making_a_sandbox_twice_makes_it_once(machine):
    machine.run("echo kept > ~/kept")
    assert machine.provider.create(machine.ref) == machine.ref
    assert machine.run("cat ~/kept")[1] == "kept\n"


# Limits


def test_wall_time_is_bounded(machine):
    ended, _ = machine.run("sleep 60", limits={"wall_seconds": 0.3})
    assert ended.reason == "wall_time" and "wall_seconds" in ended.sentence


def test_endless_output_is_bounded(machine):
    ended, output = machine.run("yes", limits={"output_mb": 0.25})
    assert ended.reason == "output_limit" and len(output) == ended.output_bytes == 1 << 18


def test_processor_time_is_bounded_over_all_processes(machine):
    ended, _ = machine.run("for i in 1 2 3; do (while :; do :; done) & done; wait", limits={"cpu_seconds": 1})
    assert ended.reason == "cpu_time"


def test_one_hungry_process_is_ended(machine):
    source = "a = []\nwhile 1: a.append(bytearray(1 << 20))"
    ended, output = machine.run(("python3", "-c", source), limits={"memory_mb": 128})
    assert ended.reason == "memory" or "MemoryError" in output


def test_hungry_processes_are_counted_together(machine):
    source = "import os, time\n[os.fork() for _ in range(2)]\na = b'x' * (60 << 20)\ntime.sleep(20)"
    ended, _ = machine.run(("python3", "-c", source), limits={"memory_mb": 128})
    assert ended.reason == "memory" and "memory_mb" in ended.sentence


def test_memory_cannot_be_hidden_in_files(machine):
    command = "head -c 60M /dev/zero > /tmp/a; head -c 60M /dev/zero > /dev/shm/b; sleep 5"
    assert machine.run(command, limits={"memory_mb": 100})[0].reason == "memory"


def test_a_file_cannot_grow_past_the_limit(machine):
    ended, _ = machine.run(("head", "-c", "3M", "/dev/zero"), limits={"file_mb": 1})
    assert ended.reason == "output_limit"
    ended, _ = machine.run("exec dd if=/dev/zero of=big bs=1M count=3", limits={"file_mb": 1})
    assert ended.reason == "file_size"


def test_a_fork_bomb_stays_in_its_sandbox(machine):
    bomb = "import os, time\nn = 0\ntry:\n  while os.fork() or True: n += 1\nexcept BlockingIOError: time.sleep(0.3)"
    began = time.monotonic()
    limits = {"processes": 40, "wall_seconds": 1}
    process = machine.start(("python3", "-c", bomb), env={"MARK": f"bomb-9-{HERE}"}, limits=limits)
    most = 0
    while machine.provider.poll(machine.ref, process) is None:
        most = max(most, len({pid for pid, _ in carrying(f"bomb-9-{HERE}")}))
        time.sleep(0.05)
    assert 5 < most <= 44 and time.monotonic() - began < 5
    assert carrying(f"bomb-9-{HERE}") == []
    assert machine.run("echo well")[1] == "well\n"


def test_another_sandbox_has_its_own_count(machine, fresh):
    many, limits = "for i in $(seq 30); do sleep 0.3 & done; echo full; wait; echo fine", {"processes": 40}
    process = machine.start(many, limits=limits)
    machine.until(process, "full")
    assert fresh.run(many, limits=limits)[1] == "full\nfine\n"
    machine.provider.stop(machine.ref, process)


# Files


def test_the_tree_is_kept_brought_back_and_its_reads_seen(machine, fresh, tmp_path):
    bare_module = pytest.importorskip("artifacts.bare")
    import pygit2

    pygit2.init_repository(str(tmp_path / "r.git"), bare=True)
    assert bare_module.Bare(tmp_path / "r.git")
    fresh.run("echo 1 > a; mkdir d; echo 2 > d/b; ln -s /etc/shadow link; echo x > c")
    seen = fresh.provider.snapshot(fresh.ref, tmp_path / "r.git")
    fresh.provider.arm(fresh.ref)
    fresh.run("cat d/b; echo more >> c; rm a")
    assert fresh.provider.reads(fresh.ref) in ({"d/b"}, None)
    later = fresh.provider.snapshot(fresh.ref, tmp_path / "r.git")
    assert later.tree != seen.tree
    fresh.provider.restore(fresh.ref, tmp_path / "r.git", seen.tree)
    _, output = fresh.run("cat a d/b c; readlink link; echo mine >> a; find . -not -user agent")
    assert output == "1\n2\nx\n/etc/shadow\n"
