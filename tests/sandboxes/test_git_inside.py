"""The tree in a sandbox is a git work tree of the environment's repository: seen from inside, with real git."""

import json
import os
import shutil
import subprocess
import time

import pytest

from artifacts.models import Repository
from houses.tenancy import inside
from sandboxes import providers
from tests.sandboxes.workbench import Bench

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed here")


@pytest.fixture
def bench(committed, oak, ada, var):
    providers.provider.cache_clear()
    if problem := providers.provider("local").check():
        pytest.skip(problem)
    yield Bench(oak, ada)
    providers.provider.cache_clear()


@pytest.fixture
def imported(bench, oak, ada, tmp_path, settings):
    """A bench on a repository from elsewhere: a submodule, a program, links, folders, an odd name."""
    settings.LOCAL_IMPORTS = ada.is_operator = True
    source, other = tmp_path / "source", tmp_path / "other"
    for folder in (other, source):
        folder.mkdir()
        git(folder, "init", "-q", "-b", "trunk")
    (other / "a").write_text("a")
    commit(other)
    git(source, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib/other")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "to-run").symlink_to("run.sh")
    (source / "nowhere").symlink_to("/etc/shadow")
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/größe").write_text("x" * 100)
    (source / "empty").touch()
    commit(source)
    with inside(oak, ada):
        repository = Repository.objects.create_in(oak, "imported", by=ada, source=str(source))
    return Bench(oak, ada, repository)


def git(folder, *words):
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


def commit(folder, message="one"):
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=Zoe", "-c", "user.email=zoe@elsewhere.example", "commit", "-q", "-m", message)


# What git says


def test_the_tree_is_clean_at_the_start_and_the_log_is_the_branchs(bench):
    bench.write(a="1\n", b="2\n")
    bench.make()
    assert bench.run("git status --porcelain; git branch --show-current; git fsck 2>&1") == "main\n"
    assert bench.run("git log --format='%an: %s'") == "Ada: Write b\nAda: Write a\nAda: The beginning\n"
    assert bench.reads == set()


def test_an_empty_repository_is_one_too(bench):
    assert bench.run("git status -s; git log --format=%s") == "The beginning\n"


def test_it_is_clean_again_after_each_command_and_each_change_of_the_branch(bench):
    bench.write(a="1\n")
    bench.run("echo 2 > b; mkdir c; echo 3 > c/d; chmod +x b; ln -s b link; rm a")
    assert (
        bench.run("git status -s; git log -1 --format=%s")
        == "$ echo 2 > b; mkdir c; echo 3 > c/d; chmod +x b; ln -s b link; rm a\n"
    )
    bench.write(e="from elsewhere\n")
    assert bench.run("git status -s; cat e; git log -1 --format=%s") == "from elsewhere\nWrite e\n"
    assert bench.reads == {"e"}


def test_an_edit_is_seen_however_quickly_it_follows(bench):
    for number in range(6):
        assert f"+{number}" in bench.run(f"echo {number} > a; git add -N .; git diff a").split()
        assert bench.run("git status -s; git diff") == ""
        assert bench.reads == set()


def test_what_did_not_land_is_a_change(bench):
    bench.write(a="1\n", b="1\n", c="1\n")
    bench.run("echo 2 > a; echo longer > b; echo new > d", lands=False)
    assert bench.run("git status -s", lands=False) == " M a\n M b\n?? d\n"
    assert bench.reads == {"a"}  # of the same size: git has to look
    assert bench.run("echo 1 > a; echo 1 > b; rm d; git status -s") == ""


def test_a_commit_made_inside_is_in_its_log_and_its_files_land(bench):
    said = bench.run(
        "echo 1 > a; git add a; git commit -qm 'By hand'; git log -1 --format='%an <%ae> %s'; git status -s"
    )
    assert said == f"Ada <{bench.by.pk}@arbe> By hand\n"
    assert bench.read("a") == "1\n"
    assert bench.run("git status -s; git reflog --format=%s | grep -c 'By hand'") == "1\n"
    assert bench.run("git gc -q; git fsck; git log --format=%s | wc -l") == "2\n"


def test_another_branch_inside_is_left_to_whoever_made_it(bench):
    bench.write(a="1\n")
    bench.run("git switch -qc mine; echo 2 > a; git commit -qam mine")
    bench.write(b="1\n")
    assert bench.run(
        "git branch --show-current; git log -1 --format=%s; git log -1 --format=%s main; git status -s"
    ) == ("mine\nmine\nWrite b\n?? b\n")
    assert bench.run("git switch -qf main; git status -s; cat a") == "2\n"


def test_a_submodule_modes_and_links_are_clean(imported):
    assert imported.run("git status -s; git log --format='%an: %s'; git branch --show-current") == "Zoe: one\ntrunk\n"
    assert imported.reads == {".gitmodules"}
    assert imported.run("git ls-files -s | cut -c1-6 | sort | uniq -c | tr -s ' '") == (
        " 3 100644\n 1 100755\n 2 120000\n 1 160000\n"
    )
    imported.write(deep2="1")
    imported.run("chmod -x run.sh; ln -sf elsewhere to-run")
    assert imported.run("git status -s; git show --stat --format= --summary | grep -c 'mode change'") == "1\n"


def test_a_set_up_has_git_too(bench):
    bench.write(a="1\n")
    bench.make(setup="git log -1 --format=%s > said && git status -s >> said")
    assert bench.run("cat said; git status -s", lands=False) == "Write a\n?? said\n?? said\n"


def test_compiled_python_is_nothing_to_speak_of(bench):
    assert bench.run("mkdir __pycache__; touch __pycache__/a.pyc; git status -s") == ""


# What it reads


def test_git_status_reads_nothing(bench):
    bench.write(**{f"f{number}": f"{number}\n" for number in range(5)})
    bench.run("echo made > made; touch f1; cp f2 f3; mv f3 f2")
    for _ in range(2):
        assert bench.run("git status -s; git diff; git diff --cached; git stash list") == ""
        assert bench.reads == set()


def test_the_reads_of_other_commands_are_as_they_were(bench):
    bench.write(a="1\n", b="2\n")
    bench.run("cat a > c; cat .git/index > /dev/null")
    assert bench.reads == {"a"}


# Apart from the host


def test_the_repositorys_objects_cannot_be_written_inside(bench):
    bench.write(a="1\n")
    objects = "/run/arbe/objects"
    said = bench.run(
        f"touch {objects}/x; rm -rf {objects}/*; chmod 777 {objects}; mv {objects} /tmp/o; ls {objects} | wc -l"
    )
    assert int(said.split()[-1]) > 2 and said.count("Read-only file system") >= 3
    assert bench.run("git fsck; git log --format=%s") == "Write a\nThe beginning\n"


def test_no_other_repository_is_visible(bench, oak, ada):
    other = Bench(oak, ada)
    other.write(secret="of the other\n")
    with inside(oak, ada):
        oid = other.repository.bare.oids(other.repository.head, ["secret"])["secret"]
    folder = bench.repository.folder
    said = bench.run(
        f"git cat-file -p {oid}; ls -A /run /run/arbe; ls {folder} {folder.parent}; cat /run/arbe/../objects"
    )
    assert "of the other" not in said and said.count("No such file") == 3
    assert "\n/run:\narbe\n\n/run/arbe:\nobjects\n" in said


def test_a_git_folder_that_became_a_link_does_the_host_no_harm(bench, tmp_path):
    bench.write(a="1\n")
    victim = tmp_path / "victim"
    for folder in ("objects/info", "refs/heads"):
        (victim / folder).mkdir(parents=True)
    (victim / "objects/info/alternates").write_text("/run/arbe/objects\n")
    (victim / "HEAD").write_text("ref: refs/heads/main\n")
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in victim.rglob("*"))
    for target in ("/etc", str(victim)):
        bench.run(f"rm -rf .git; ln -s {target} .git")
        bench.write(**{f"after{bench.count}": "1\n"})
        bench.run("ls")
    for inner in (".git/refs", ".git/refs/heads", ".git/objects", ".git/HEAD", ".git/index", ".git/refs/heads/main"):
        os.unlink(bench.tree / ".git") if (bench.tree / ".git").is_symlink() else None
        bench.run("echo >> a")
        bench.run(f"rm -rf {inner}; ln -s {victim}/{inner.removeprefix('.git/')} {inner}; echo >> a")
        bench.write(**{f"after{bench.count}": "1\n"})
        assert bench.run("cat a")
        bench.run("rm -rf .git; echo >> a")
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in victim.rglob("*")) == before
    assert not os.path.exists("/etc/refs") and not os.path.exists("/etc/index")


def test_a_fifo_or_a_file_for_a_folder_holds_nobody_up(bench):
    bench.run("rm -rf .git/HEAD .git/refs; mkfifo .git/HEAD .git/refs; echo 1 > a")
    began = time.monotonic()
    assert bench.run("cat a") == "1\n"
    bench.run("rm -rf .git; echo gitdir: /etc > .git; echo 2 > a")
    assert bench.run("cat a") == "2\n" and time.monotonic() - began < 5


def test_a_repository_of_somebodys_own_is_left_alone_and_a_missing_one_comes_back(bench):
    bench.run("rm -rf .git; git init -qb main .; echo 1 > a; git add a; git commit -qm mine")
    assert bench.run("echo 2 > a; git log --format=%s; git status -s") == "mine\n M a\n"
    bench.run("rm -rf .git; echo 3 > a")
    assert bench.run("git status -s; git log --format=%s | wc -l") == "4\n"


def test_nothing_is_told_twice(bench):
    bench.write(a="1\n")
    bench.run("true")
    bench.run("true")
    told = json.loads((bench.tree.parent / "tracked").read_text())
    before = (bench.tree / ".git/index").stat().st_ino
    bench.run("git log")
    assert json.loads((bench.tree.parent / "tracked").read_text()) == told
    assert (bench.tree / ".git/index").stat().st_ino == before
