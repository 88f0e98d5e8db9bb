"""What every provider of machines promises; a new one is added to PROVIDERS and has to pass."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from sandboxes.local import Local
from sandboxes.provider import Door, Exec, Exit, Limits, ProviderError
from tests.sandboxes.upstream import Upstream

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


# Input


def test_what_is_sent_arrives_on_standard_input_in_order_and_once(machine):
    process = machine.start("while read -r line; do echo got $line; done; echo end", takes_input=True)
    for key, line in (("1", b"one\n"), ("2", b"two\n"), ("1", b"one\n"), ("2", b"other\n")):
        machine.provider.send(machine.ref, process, key, line)
    machine.until(process, "got two")
    machine.provider.send(machine.ref, process, "3", b"three\n")
    machine.provider.close_input(machine.ref, process)
    machine.provider.close_input(machine.ref, process)
    machine.provider.send(machine.ref, process, "3", b"three\n")
    assert machine.ended(process).code == 0
    assert machine.output(process) == "got one\ngot two\ngot three\nend\n"


def test_after_the_end_of_the_input_nothing_new_is_taken(machine):
    process = machine.start("cat", takes_input=True)
    machine.provider.close_input(machine.ref, process)
    with pytest.raises(ProviderError) as refused:
        machine.provider.send(machine.ref, process, "late", b"late")
    assert refused.value.permanent and machine.ended(process).code == 0 and machine.output(process) == ""


def test_what_is_said_before_a_command_is_started_it_reads_first(machine):
    machine.provider.send(machine.ref, "early", "1", b"first\n")
    machine.start("read -r a; read -r b; echo $a $b", process_id="early", takes_input=True)
    machine.provider.send(machine.ref, "early", "2", b"second\n")
    assert machine.ended("early").code == 0
    assert machine.output("early") == "first second\n"


def test_sending_to_a_sandbox_that_is_not_there_is_refused(machine):
    with pytest.raises(ProviderError) as refused:
        machine.provider.send("no-such-sandbox", "p", "1", b"hello")
    assert refused.value.permanent


def test_a_command_that_takes_no_input_has_none(machine):
    assert machine.run("cat; echo end")[1] == "end\n"
    process = machine.start("cat; echo end; sleep 0.2", process_id="deaf")
    machine.provider.send(machine.ref, process, "1", b"hello\n")
    machine.ended(process)
    assert machine.output(process) == "end\n"


def test_a_command_that_does_not_read_is_followed_all_the_same(machine):
    process = machine.start("echo up; sleep 0.5; echo still; head -c 3000000 | wc -c", takes_input=True)
    for number in range(3):
        machine.provider.send(machine.ref, process, str(number), b"x" * 1_000_000)
    assert machine.ended(process).code == 0
    assert machine.output(process).split() == ["up", "still", "3000000"]


def test_a_command_that_ends_without_reading_is_nobodys_trouble(machine):
    process = machine.start("exec 0<&-; echo shut; sleep 0.3", takes_input=True)
    machine.provider.send(machine.ref, process, "1", b"x" * 1_000_000)
    assert machine.ended(process).code == 0
    machine.provider.send(machine.ref, process, "2", b"more")
    assert machine.output(process) == "shut\n"


def test_input_survives_whoever_started_the_command(machine):
    process = machine.start("read -r line; echo got $line", takes_input=True)
    provider = type(machine.provider)(machine.provider.root)
    provider.send(machine.ref, process, "1", b"from another\n")
    machine.ended(process)
    assert machine.output(process) == "got from another\n"


# Doors

CALL = """
import http.client, os, sys, urllib.parse
door = urllib.parse.urlsplit(os.environ["ARBE_DOOR"])
caller = http.client.HTTPConnection(door.netloc)
caller.request("POST", door.path + "/model/v1/answers?x=1", "question", {"Authorization": "Bearer arbe", "X-Mine": "1"})
answer = caller.getresponse()
print(answer.status, answer.read().decode())
"""


@pytest.mark.parametrize("network", [False, True])
def test_through_a_door_a_command_reaches_what_it_leads_to_and_only_that(machine, network):
    with Upstream() as upstream:
        door = Door(prefix="model", url=f"{upstream.url}/base", headers={"Authorization": "Bearer real"})
        ended, output = machine.run(("python3", "-c", CALL), doors=(door,), network=network)
        assert (ended.code, output) == (0, "200 hi\n")
        (asked,) = upstream.asked
        assert (asked.method, asked.path, asked.body) == ("POST", "/base/v1/answers?x=1", b"question")
        assert asked.header("authorization") == "Bearer real" and asked.header("x-mine") == "1"
        assert asked.header("host") == f"127.0.0.1:{upstream.port}"
        if not network:
            direct = f"import socket; socket.create_connection(('127.0.0.1', {upstream.port}), 2)"
            assert "refused" in machine.run(("python3", "-c", direct), doors=(door,))[1]


def test_what_a_door_puts_in_is_not_found_inside_or_on_a_disk(machine):
    with Upstream() as upstream:
        door = Door(prefix="model", url=upstream.url, headers={"Authorization": f"Bearer open-sesame-{HERE}"})
        assert "open-sesame" not in repr(Exec(process_id="p", command="true", doors=(door,)))
        process = machine.start("env; cat /proc/*/environ; echo up; sleep 0.3", doors=(door,))
        assert "open-sesame" not in machine.until(process, "up")
        assert carrying(f"open-sesame-{HERE}") == []
        for path in machine.provider.root.rglob("*"):
            if path.is_file():
                assert b"open-sesame" not in path.read_bytes()
        machine.ended(process)


def test_whoever_asked_may_die_and_the_doors_stay_open(machine):
    with Upstream() as upstream:
        source = f"""
import os, sys, signal
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
from sandboxes.local import Local
from sandboxes.provider import Door, Exec
call = Exec(
    process_id="talker", command=("python3", "-c", {"import time; time.sleep(0.4)" + CALL!r}),
    doors=(Door(prefix="model", url={upstream.url!r}),),
)
Local(Path({str(machine.provider.root)!r})).exec({machine.ref!r}, call)
os.kill(os.getpid(), signal.SIGKILL)
"""
        assert subprocess.run([sys.executable, "-c", source], check=False).returncode == -9
        assert machine.ended("talker").code == 0
        assert machine.output("talker") == "200 hi\n"


def test_stopping_a_command_with_doors_and_input_leaves_no_process(machine):
    door = Door(prefix="model", url="http://127.0.0.1:9")
    process = machine.start(
        ("python3", "-c", ESCAPE), env={"MARK": f"runaway-10-{HERE}"}, doors=(door,), takes_input=True
    )
    machine.until(process, "away")
    eventually(lambda: len(wardens_of(machine, process)) == 3)  # the warden, bubblewrap and the relay
    began = time.monotonic()
    machine.provider.stop(machine.ref, process)
    assert time.monotonic() - began < 2
    assert machine.ended(process).reason == "stopped"
    eventually(lambda: not wardens_of(machine, process), 2)
    assert carrying(f"runaway-10-{HERE}") == []


def wardens_of(machine, process):
    """Processes whose working folder is that of the command."""
    folder = str(machine.provider.root / machine.ref / "processes" / process)
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/cwd") == folder:
                found.append(int(name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    "url", ["", "ftp://x/", "http://", "http://a b/", "https://u:p@x/", "http://x/?q", "http://x:99999"]
)
def test_a_door_leads_to_an_http_address(url):
    with pytest.raises(ProviderError):
        Door(prefix="model", url=url)


def test_a_header_of_a_door_cannot_smuggle_in_another():
    for headers in ({"A": "b\r\nC: d"}, {"A\nB": "c"}, {"A": "b\0"}):
        with pytest.raises(ProviderError):
            Door(prefix="model", url="http://x", headers=headers)
    with pytest.raises(ProviderError):
        Door(prefix="../x", url="http://x")


# Folders of the home


def test_a_folder_of_the_home_is_packed_into_git_and_unpacked_elsewhere(machine, fresh, tmp_path):
    import pygit2

    from artifacts.bare import EMPTY_TREE

    pygit2.init_repository(str(bare := tmp_path / "r.git"), bare=True)
    provider = machine.provider
    assert provider.pack(machine.ref, bare, ".agent/nothing") == EMPTY_TREE
    machine.run(
        "mkdir -p ~/.agent/one/deep; echo 1 > ~/.agent/one/a; echo 2 > ~/.agent/one/deep/b; echo no > ~/.agent/c"
    )
    tree = provider.pack(machine.ref, bare, ".agent/one")
    assert tree != EMPTY_TREE and provider.pack(machine.ref, bare, ".agent/one") == tree
    provider.unpack(fresh.ref, bare, ".agent/one", tree)
    command = "cd ~/.agent; cat one/a one/deep/b; find . -type f | wc -l; echo mine >> one/a; find . -not -user agent"
    assert fresh.run(command)[1] == "1\n2\n2\n"
    provider.unpack(fresh.ref, bare, ".agent/one", tree)
    assert fresh.run("cat ~/.agent/one/a")[1] == "1\n"


def test_a_link_in_the_home_leads_packing_nowhere(fresh, tmp_path):
    import pygit2

    from artifacts.bare import EMPTY_TREE

    pygit2.init_repository(str(bare := tmp_path / "r.git"), bare=True)
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").write_text("of the host")
    fresh.run(f"ln -s {tmp_path}/host ~/.agent; mkdir ~/.other; ln -s {tmp_path}/host ~/.other/one")
    assert fresh.provider.pack(fresh.ref, bare, ".agent") == EMPTY_TREE
    assert fresh.provider.pack(fresh.ref, bare, ".other/one") == EMPTY_TREE
    fresh.run("mkdir ~/.mine; echo 1 > ~/.mine/a")
    tree = fresh.provider.pack(fresh.ref, bare, ".mine")
    for folder in (".agent", ".other/one"):
        fresh.provider.unpack(fresh.ref, bare, folder, tree)
        assert fresh.run(f"cat ~/{folder}/a")[1] == "1\n"
    assert [path.name for path in (tmp_path / "host").iterdir()] == ["secret"]
    for bad in ("../x", "/etc", "tree", "tree/a", "", "a//b", "a/../b"):
        with pytest.raises(ProviderError):
            fresh.provider.pack(fresh.ref, bare, bad)
