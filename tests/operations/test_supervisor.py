"""Processes are kept running, told apart in one log, and ended in good time."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from arbe import children, leftovers
from arbe.console import Console
from arbe.supervisor import Failed, Kept, Supervisor

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


@pytest.fixture
def supervisor(tmp_path):
    made = Supervisor(Console(tmp_path / "arbe.log", colour=False))
    yield made
    made.end(made.kept, 0)
    made.console.close()


def python(name: str, script: str) -> Kept:
    return Kept(name, lambda: children.spawn([sys.executable, "-c", script], output=subprocess.PIPE))


def tick_until(supervisor: Supervisor, text: str, times: int = 1) -> str:
    deadline = time.monotonic() + 20
    log = ""
    while time.monotonic() < deadline:
        supervisor.tick()
        log = (supervisor.console.file).read_text()
        if len(re.findall(text, log)) >= times:
            return log
    raise AssertionError(f"{text!r} was never said:\n{log}")


def test_who_dies_is_started_again_after_a_growing_pause(supervisor):
    supervisor.keep(python("brief", "print('born')"))
    log = tick_until(supervisor, "starting it again", times=2)
    assert "brief      born" in log
    assert "ended (exit code 0); starting it again in 0.25 s" in log
    assert "starting it again in 0.5 s" in log


def test_who_does_not_end_is_killed(supervisor):
    supervisor.keep(python("stubborn", STUBBORN))
    tick_until(supervisor, "deaf")
    process = supervisor.kept[0].process
    supervisor.end(supervisor.kept, 0.2)
    assert process.returncode == -signal.SIGKILL
    assert "did not end within 0.2 s and is killed" in supervisor.console.file.read_text()


def test_a_step_that_fails_stops_the_start(supervisor):
    with pytest.raises(Failed, match=r"`step` did not go well \(exit code 3\)"):
        supervisor.run_once("step", [sys.executable, "-c", "raise SystemExit(3)"], os.environ)


def test_a_log_line_does_not_steer_the_terminal(supervisor, capsys):
    supervisor.console.say("rude", "\x1b[2Jgone\r\nsecond")
    assert "\x1b" not in capsys.readouterr().out


def test_a_child_does_not_outlive_its_parent(tmp_path):
    script = (
        "import sys, time; from arbe import children; "
        "child = children.spawn([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while leftovers.lifetimes.born(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_leftovers_of_a_killed_start_are_ended(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as left:
        leftovers.record(tmp_path / "processes", [left.pid, os.getpid() + 4_000_000])
        assert leftovers.end(tmp_path / "processes", patience=2) == 1
        assert left.wait(5) == -signal.SIGTERM
    assert leftovers.end(tmp_path / "processes") == 0
