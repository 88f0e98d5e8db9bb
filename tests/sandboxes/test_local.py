"""What a command in a bubblewrap sandbox can see and touch of the machine: nothing that is not its own."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandboxes import lifetimes, users
from sandboxes.local import Local
from sandboxes.provider import Exec, Limits, ProviderError
from tests.sandboxes.test_provider_contract import HERE, QUICK, Machine, carrying, eventually


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    local = Local(closed / "sandboxes")
    if problem := local.check():
        pytest.skip(problem)
    yield local
    for ref in local.list():
        local.destroy(ref)


@pytest.fixture(scope="module")
def machine(local):
    return Machine(local, "oak")


def test_it_is_nobody_in_particular(machine):
    _, output = machine.run("id -u; id -g; id -un; hostname; pwd; grep -E 'Cap|NoNewPrivs' /proc/self/status; umask")
    lines = output.split("\n")
    assert lines[:5] == ["1000", "1000", "agent", "sandbox", "/home/agent/tree"]
    assert output.count("0000000000000000") == 5 and "NoNewPrivs:\t1" in output


def test_it_cannot_make_itself_somebody(machine):
    ended, output = machine.run("unshare -Ur id; mount -t tmpfs none /mnt; chroot /; su -c id")
    assert "uid=0" not in output and ended.code != 0


def test_it_sees_only_its_own_processes(machine):
    _, output = machine.run(
        "ls /proc | grep -c '^[0-9]'; ls -l /proc/self/fd | grep -v -e null -e pipe -e /proc/ | wc -l"
    )
    count, descriptors = map(int, output.split())
    assert count <= 6 and descriptors == 1  # the word "total"


def test_it_sees_none_of_the_hosts_files(machine, local, tmp_path):
    (tmp_path / "secret").write_text("of the host")
    other = Machine(local, "elm")
    other.run("echo theirs > theirs")
    hidden = f"/root /etc/shadow /boot /srv /opt /sys /mnt /var/lib {tmp_path} {local.root}"
    _, output = machine.run(f"for f in {hidden}; do ls -d $f 2>/dev/null; done; ls /home /tmp /run; ls -A ~/..")
    assert output == "/home:\nagent\n\n/run:\n\n/tmp:\nagent\n"
    assert machine.run("grep -r theirs / --include=theirs -l 2>/dev/null")[1] == ""


def test_the_system_is_read_only_and_so_is_everything_but_its_home(machine):
    closed = "/usr/x /etc/x /x /dev/x /var/x /home/x /proc/x"
    assert machine.run(f"for f in {closed}; do touch $f 2>/dev/null && echo $f; done; touch ~/a a /tmp/a")[1] == ""


def test_the_temporary_folder_is_private_and_small(machine):
    machine.run("echo mine > /tmp/mine")
    assert machine.run("ls /tmp; df --output=size -m /tmp | tail -1", limits={"file_mb": 32})[1].split() == ["32"]


def test_no_network_unless_the_environment_says_so(machine):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('through')"
        ended, output = machine.run(("python3", "-c", connect))
        assert ended.code == 1 and "refused" in output
        assert machine.run(("python3", "-c", connect), network=True)[1] == "through\n"


def test_names_are_looked_up_only_with_a_network(machine):
    assert machine.run("cat /etc/resolv.conf")[0].code == 1
    if Path("/etc/resolv.conf").exists():
        assert machine.run("cat /etc/resolv.conf", network=True)[0].code == 0


def test_a_secret_is_in_the_environment_of_its_process_and_nowhere_else(machine, local):
    secret = "open-sesame-4711"
    process = machine.start("echo $KEY | wc -c; sleep 0.4", env={"KEY": secret})
    machine.until(process, "17")
    assert all(file == "environ" for _, file in carrying(secret))
    assert secret not in Machine(local, "elm").run("cat /proc/*/environ; env")[1]
    for path in local.root.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    assert secret not in repr(Exec(process_id="p", command="true", env={"KEY": secret}))
    machine.ended(process)


def test_nothing_of_arbes_own_environment_goes_in(machine, monkeypatch):
    monkeypatch.setenv("ARBE_VAULT_KEY", "do-not-tell")
    names = {line.partition("=")[0] for line in machine.run("env", env={"MINE": "1"})[1].splitlines()}
    assert "MINE" in names and not {name for name in names if name.startswith(("ARBE", "PYTEST", "VIRTUAL"))}


def test_each_sandbox_has_its_own_user_and_closed_folders(machine, local):
    elm = local.create("elm", QUICK)
    assert stat.S_IMODE(local.root.stat().st_mode) == 0o700
    for ref in (machine.ref, elm):
        assert stat.S_IMODE((local.root / ref).stat().st_mode) == 0o700
    owners = {(local.root / ref / name).stat().st_uid for ref in (machine.ref, elm) for name in ("home", "tree")}
    assert len(owners) == (2 if os.geteuid() == 0 else 1)
    if os.geteuid() == 0:
        assert 0 not in owners


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_two_sandboxes_never_share_a_user(tmp_path):
    taken = [users.take(tmp_path, f"s{number}") for number in range(20)]
    assert len(set(taken)) == 20
    users.give_back(tmp_path, taken[0])
    assert users.take(tmp_path, "s0") == taken[0]


def test_the_tree_cannot_be_swapped_for_a_link_to_the_host(machine, local):
    ended, _ = machine.run("cd ~; rm -rf tree; ln -s /etc tree; mv tree other")
    assert ended.code != 0
    assert stat.S_ISDIR((local.root / machine.ref / "tree").lstat().st_mode)


def test_links_out_of_the_tree_are_not_followed_when_it_is_forgotten(local, tmp_path):
    (tmp_path / "kept").write_text("kept")
    elm = Machine(local, "leaving")
    elm.run(f"ln -s {tmp_path} away; ln -s {tmp_path}/kept file")
    local.destroy(elm.ref)
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_warden_that_dies_takes_its_command_along_and_the_command_is_lost(machine, local):
    process = machine.start("echo up; sleep 600", env={"MARK": f"orphan-3-{HERE}"})
    machine.until(process, "up")
    lifetimes.send((local.root / machine.ref / "processes" / process / "warden.pid").read_text(), 9)
    ended = machine.ended(process)
    assert (ended.reason, ended.code) == ("lost", None)
    eventually(lambda: not carrying(f"orphan-3-{HERE}"), 2)


@pytest.mark.parametrize("after", [0, 0.004, 0.008, 0.012, 0.016, 0.02])
def test_a_warden_that_dies_at_once_leaves_nothing_running(machine, local, after):
    process = machine.start("sleep 600", env={"MARK": f"orphan-4-{HERE}"})
    time.sleep(after)
    lifetimes.send((local.root / machine.ref / "processes" / process / "warden.pid").read_text(), 9)
    assert machine.ended(process).reason == "lost"
    eventually(lambda: not carrying(f"orphan-4-{HERE}"), 2)


def test_a_process_number_that_was_given_to_another_is_left_alone():
    me = lifetimes.name(os.getpid())
    assert lifetimes.is_alive(me)
    stranger = f"{os.getpid()} {me.split()[1]}0"
    assert not lifetimes.is_alive(stranger) and lifetimes.send(stranger, 9) is False


def test_without_bubblewrap_nothing_runs(local, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    unsafe = Local(local.root)
    assert "bubblewrap" in unsafe.check()
    with pytest.raises(ProviderError) as refused:
        unsafe.exec("oak", Exec(process_id="never", command="touch ~/ran"))
    assert refused.value.permanent and not (local.root / "oak/processes/never").exists()


def test_limits_are_named_and_above_zero():
    assert Limits.of({"memory_mb": 64}).memory_mb == 64 and Limits.of({}).processes == 256
    for bad in ({"memory": 1}, {"memory_mb": 0}, {"wall_seconds": "long"}, {"processes": True}):
        with pytest.raises(ValueError, match="limit"):
            Limits.of(bad)


def test_the_warden_needs_nothing_but_the_standard_library():
    source = "import sys; sys.path.append('.'); import sandboxes.warden; import sandboxes.watch; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", source], capture_output=True, text=True, check=True).stdout
    assert {name.partition(".")[0] for name in said.split()} - set(sys.stdlib_module_names) == {"__main__", "sandboxes"}


def test_root_in_a_place_that_everyone_may_enter_works_too(tmp_path):
    local = Local(tmp_path / "sandboxes")
    machine = Machine(local, f"open-{time.monotonic_ns()}")
    assert machine.run("echo in")[1] == "in\n"
    local.destroy(machine.ref)


def test_the_warden_that_is_ready_goes_with_whoever_keeps_it():
    source = (
        "import os, time; from sandboxes.wardens import WARDENS; WARDENS.keep_one_ready();"
        "print(WARDENS._ready.pid, flush=True); os.fork() or time.sleep(60); time.sleep(60)"
    )
    keeper = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, start_new_session=True, text=True)
    ready = lifetimes.name(int(keeper.stdout.readline()))
    assert lifetimes.is_alive(ready)
    keeper.kill()  # its forked child lives on
    eventually(lambda: not lifetimes.is_alive(ready))
    os.killpg(keeper.pid, 9)
    keeper.communicate()


def test_at_the_end_of_arbe_running_commands_are_stopped(tmp_path):
    folder = tmp_path / "sandbox" / "processes" / "1"
    folder.mkdir(parents=True)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as warden:
        warden.stdout.readline()
        (folder / "warden.pid").write_text(lifetimes.name(warden.pid))
        assert Local(tmp_path).end_all(patience=0.1) == 1
        assert warden.wait(5) == -signal.SIGKILL
    assert (folder / "stop").exists(), "so that it reads as stopped and not as lost"
