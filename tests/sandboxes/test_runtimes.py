"""The agents' programs: brought once, whole, and only if they are what arbe knows."""

import base64
import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import time
from io import StringIO
from threading import Thread

import pytest
from django.core.management import CommandError, call_command

from sandboxes import pins, runtimes
from sandboxes.local import Local
from sandboxes.pins import EVERY, PROGRAMS, Pin, Program
from sandboxes.provider import ProviderError
from tests.runtimes import runtime
from tests.sandboxes.test_provider_contract import Machine

NPM = """#!{python}
import shutil, sys, time
from pathlib import Path
here = Path(__file__).parent
with open(here / "asked", "a") as file:
    file.write(sys.argv[-1] + "\\n")
if (here / "slow").exists():
    time.sleep(60)
if (here / "broken").exists():
    sys.exit("npm error 404 Not Found")
shutil.copy(here / "package.tgz", sys.argv[sys.argv.index("--pack-destination") + 1])
"""


class Registry:
    """An npm that brings one archive, and the program that arbe knows by it."""

    def __init__(self, here, monkeypatch):
        self.here = here
        here.mkdir()
        (here / "npm").write_text(NPM.format(python=sys.executable))
        (here / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
        self.archive()
        pin = Pin("@oak/helper@1.2.3", self.integrity())
        program = Program(
            version="1.2.3",
            command="help-me",
            starts="bin/*/start",
            keeps=("bin/*/start", "lib/"),
            pins={EVERY: pin},
            needs=(),
        )
        monkeypatch.setitem(PROGRAMS, "helper", program)

    def archive(self, text="#!/bin/sh\necho helped\n"):
        with tarfile.open(self.here / "package.tgz", "w:gz") as tar:
            self._add(tar, "package/bin/x/start", text, 0o755)
            self._add(tar, "package/lib/deep/data", "data", 0o600)
            self._add(tar, "package/docs/much", "much", 0o644)
            self._add(tar, "package/lib/../../../escaped", "out", 0o644)
            for kind, name in ((tarfile.SYMTYPE, "package/lib/link"), (tarfile.LNKTYPE, "package/lib/hard")):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = kind, "/etc/passwd"
                tar.addfile(link)

    def _add(self, tar, name, text, mode):
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(text), mode
        tar.addfile(member, io.BytesIO(text.encode()))

    def integrity(self):
        digest = hashlib.sha512((self.here / "package.tgz").read_bytes()).digest()
        return f"sha512-{base64.b64encode(digest).decode()}"

    @property
    def asked(self):
        file = self.here / "asked"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def registry(tmp_path, monkeypatch):
    return Registry(tmp_path / "registry", monkeypatch)


@pytest.fixture
def folder(tmp_path, settings):
    settings.RUNTIMES = tmp_path / "runtimes"
    return settings.RUNTIMES


def nothing_of_it(folder):
    return not [*folder.glob("helper*"), *folder.glob(".new*")] and not (folder / "bin" / "help-me").exists()


def test_a_program_is_installed_once(registry, folder):
    told = []
    assert runtimes.installed("helper") is None
    runtimes.install("helper", say=told.append)
    assert runtimes.installed("helper") == "1.2.3"
    assert subprocess.run([folder / "bin" / "help-me"], capture_output=True, check=True).stdout == b"helped\n"
    runtimes.install("helper", say=told.append)
    assert registry.asked == ["@oak/helper@1.2.3"]
    assert told[-1] == "helper 1.2.3 is installed."


def test_of_an_archive_only_what_is_kept_is_unpacked_and_never_elsewhere(registry, folder):
    runtimes.install("helper")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    kept = {"helper-1.2.3/bin/x/start", "helper-1.2.3/lib/deep/data"}
    assert files == kept | {".lock-helper", "bin/help-me", "bin/arbe"}
    assert not list(folder.parent.rglob("escaped"))
    assert stat.S_IMODE((folder / "helper-1.2.3/bin/x/start").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "helper-1.2.3/lib/deep/data").stat().st_mode) == 0o644


def test_what_is_not_what_arbe_knows_is_refused_and_nothing_of_it_is_kept(registry, folder):
    registry.archive("#!/bin/sh\necho trojan\n")
    with pytest.raises(runtimes.NotInstalled, match="not what arbe knows"):
        runtimes.install("helper")
    assert nothing_of_it(folder) and runtimes.installed("helper") is None


def test_without_npm_there_is_a_sentence(registry, folder, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(runtimes.NotInstalled, match="npm, and there is none"):
        runtimes.install("helper")


def test_what_npm_says_is_passed_on(registry, folder):
    (registry.here / "broken").touch()
    with pytest.raises(runtimes.NotInstalled, match="404 Not Found"):
        runtimes.install("helper")
    assert nothing_of_it(folder)


def test_two_at_once_fetch_it_once(registry, folder):
    both = [Thread(target=runtimes.install, args=("helper",)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert runtimes.installed("helper") and len(registry.asked) == 1


def test_after_a_kill_in_the_middle_it_is_installed_all_the_same(registry, folder):
    (registry.here / "slow").touch()
    pin = PROGRAMS["helper"].pins[EVERY]
    source = f"""
import sys
from pathlib import Path
from sandboxes import runtimes
from sandboxes.pins import EVERY, PROGRAMS, Pin, Program
PROGRAMS["helper"] = Program(version="1.2.3", command="help-me", starts="bin/*/start", keeps=("bin/*/start", "lib/"),
    pins={{EVERY: Pin({pin.package!r}, {pin.integrity!r})}}, needs=())
runtimes.install("helper", Path({str(folder)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", source], start_new_session=True, stdout=subprocess.DEVNULL) as child:
        end = time.monotonic() + 30
        while not registry.asked and time.monotonic() < end:
            time.sleep(0.02)
        os.killpg(child.pid, 9)
    assert runtimes.installed("helper") is None
    (registry.here / "slow").unlink()
    runtimes.install("helper")
    assert runtimes.installed("helper") == "1.2.3" and not list(folder.glob(".new-*"))


def test_another_version_takes_its_place(registry, folder, monkeypatch):
    runtimes.install("helper")
    registry.archive("#!/bin/sh\necho better\n")
    old = PROGRAMS["helper"]
    pin = Pin("@oak/helper@1.3.0", registry.integrity())
    monkeypatch.setitem(PROGRAMS, "helper", Program(**{**old.__dict__, "version": "1.3.0", "pins": {EVERY: pin}}))
    assert runtimes.installed("helper") is None
    runtimes.install("helper")
    assert subprocess.run([folder / "bin" / "help-me"], capture_output=True, check=True).stdout == b"better\n"


def test_the_command_lists_and_installs(registry, folder):
    told = StringIO()
    call_command("runtimes", stdout=told)
    assert "helper       1.2.3      not installed" in told.getvalue() and str(folder) in told.getvalue()
    call_command("runtimes", "install", "helper", stdout=told)
    assert "fetching @oak/helper@1.2.3" in told.getvalue()
    told = StringIO()
    call_command("runtimes", stdout=told)
    assert "helper       1.2.3      installed" in told.getvalue()
    with pytest.raises(CommandError, match="There is no program 'nobody'; there are node, pi"):
        call_command("runtimes", "install", "nobody")


def test_every_pin_names_an_exact_version_and_a_checksum():
    for program in pins.PROGRAMS.values():
        assert set(program.pins) in ({EVERY}, {"x64", "arm64"})
        for pin in program.pins.values():
            name, _, version = pin.package.rpartition("@")
            assert name and version.startswith(program.version)
            assert len(base64.b64decode(pin.integrity.removeprefix("sha512-"))) == 64


@pytest.mark.parametrize(
    ("name", "command"), [("node", "node"), ("pi", "pi"), ("claude-code", "claude"), ("codex", "codex")]
)
def test_the_real_programs_start_in_a_sandbox(name, command, tmp_path):
    local = Local(tmp_path / "sandboxes", runtime(name))
    if problem := local.check():
        pytest.skip(problem)
    machine = Machine(local, f"start-{command}")
    ended, output = machine.run(f"command -v {command}; {command} --version", programs=True)
    assert ended.code == 0 and PROGRAMS[name].version in output
    assert output.startswith(f"/opt/arbe/bin/{command}\n")
    assert machine.run("ls /opt /run")[1] == "ls: cannot access '/opt': No such file or directory\n/run:\n"
    assert machine.run("touch /opt/arbe/bin/x", programs=True)[0].code == 1
    local.destroy(machine.ref)


def test_without_a_folder_of_programs_none_can_be_asked_for(tmp_path):
    local = Local(tmp_path / "sandboxes", tmp_path / "nowhere")
    if problem := local.check():
        pytest.skip(problem)
    machine = Machine(local, "bare")
    with pytest.raises(ProviderError) as refused:
        machine.run("pi", programs=True)
    assert refused.value.permanent and "runtimes install" in refused.value.detail
    local.destroy(machine.ref)
