"""A command, seen through on a real machine: its output as it comes, how it ended, and what is kept."""

import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from houses.models import Secret
from houses.tenancy import inside
from sandboxes.models import Sandbox
from sandboxes.provider import ProviderError
from threads.models import Command, Thread


@pytest.fixture
def change(oak, ada, environment):
    """Another version of the recipe."""

    def changed(secret_bindings=(), **config):
        with inside(oak, ada):
            environment.change(name="plain", config=config, secret_bindings=list(secret_bindings), by=ada)

    return changed


def test_a_command_is_told_from_its_beginning_to_its_end(worker, thread, ada):
    command = worker.run(thread, "echo hello; echo there >&2; exit 3", by=ada)
    # The two lines come together or one by one, as the clock will have it.
    assert list(dict.fromkeys(event["type"] for event in worker.events(thread))) == [
        "thread_opened",
        "command_queued",
        "signal.sandbox.created",
        "command_started",
        "command_output",
        "command_finished",
    ]
    assert worker.output(command) == "hello\nthere\n"
    finished = worker.payload(command, "command_finished")
    assert (command.status, command.exit_code) == ("failed", 3) == (finished["status"], finished["exit_code"])


def test_whoever_heard_the_stream_knows_the_command(worker, thread, ada):
    command = worker.run(thread, "echo hello > file.txt", by=ada)
    finished = worker.payload(command, "command_finished")
    assert {name: finished[name] for name in ("status", "exit_code", "reason", "redactions")} == {
        "status": command.status,
        "exit_code": command.exit_code,
        "reason": command.reason,
        "redactions": command.redactions,
    }
    assert finished["seconds"] == pytest.approx(command.seconds, abs=0.002)
    assert worker.payload(command, "command_started")["sandbox_id"] == command.sandbox_id


def test_what_it_wrote_is_kept_landed_and_known(worker, thread, repository, oak, ada):
    command = worker.run(thread, "echo hello > file.txt", by=ada)
    finished, made = (worker.payload(command, kind) for kind in ("command_finished", "artifact_made"))
    (changed,) = finished["changed"]
    assert (changed["path"], changed["change"]) == ("file.txt", "added")
    assert (made["path"], made["oid"], made["commit"]) == ("file.txt", changed["new"], finished["landed"])
    with inside(oak):
        assert repository.read("file.txt") == b"hello\n"
        assert repository.bare.tree_of(finished["snapshot"]) == Sandbox.objects.get().tree


def test_output_arrives_while_it_runs(worker, thread, ada):
    command = worker.ask(thread, "echo first; sleep 1; echo second", by=ada)
    aside = worker.aside(command)
    worker.until(command, "first")
    assert "second" not in worker.output(command)
    aside.join()
    assert worker.output(command) == "first\nsecond\n"


def test_chunks_follow_each_other_without_a_gap(worker, thread, ada):
    command = worker.run(thread, "for i in 1 2 3 4 5; do seq $i 3000; sleep 0.05; done", by=ada)
    chunks = [event["payload"] for event in worker.events(command, "command_output")]
    assert len(chunks) > 1 and chunks[0]["start"] == 0
    assert all(one["end"] == two["start"] for one, two in pairwise(chunks))
    assert chunks[-1]["end"] == len(worker.output(command)) == command.pouring


def test_colours_go_on_from_chunk_to_chunk(worker, thread, ada):
    command = worker.run(thread, r"printf '\033[31mred'; sleep 0.3; printf ' still'; sleep 0.3; echo", by=ada)
    styles = [event["payload"]["style"] for event in worker.events(command, "command_output")]
    assert styles[0] == "" and set(styles[1:]) == {"31"}


def test_the_tree_stays_for_the_next_command(worker, thread, ada):
    worker.run(thread, "echo 1 > counter; cd ..; mkdir -p tree/deep", by=ada)
    second = worker.run(thread, "cat counter; ls -d deep", by=ada)
    assert worker.output(second) == "1\ndeep\n"
    assert len(worker.events(thread, "signal.sandbox.created")) == 1


def test_it_runs_in_its_own_tree_as_nobody_in_particular(worker, thread, ada):
    command = worker.run(thread, "pwd; id -u; ls /srv /root 2>/dev/null | wc -l", by=ada)
    where, who, seen = worker.output(command).split()
    assert where == "/home/agent/tree" and who != "0" and seen == "0"


def test_what_changed_on_the_branch_is_there_for_the_next_command(worker, thread, repository, oak, ada, bo):
    worker.run(thread, "echo mine > mine.txt", by=ada)
    with inside(oak, bo):
        repository.write("theirs.txt", b"theirs\n", by=bo)
    assert worker.output(worker.run(thread, "cat mine.txt theirs.txt", by=ada)) == "mine\ntheirs\n"


def test_variables_and_secrets_are_handed_over_and_secrets_are_hidden(worker, thread, oak, ada, change):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "correct-horse", by=ada)
    change(env={"COLOUR": "red"}, secret_bindings=[{"name": "API_KEY"}])
    text = "echo $COLOUR ${#API_KEY} $API_KEY; printf correct-; sleep 0.2; echo horse; printf $API_KEY | base64"
    command = worker.run(thread, text, by=ada)
    assert "correct-horse" not in str(worker.told(thread)) and "Y29ycmVjdC1ob3JzZQ" not in str(worker.told(thread))
    assert worker.output(command).startswith("red 13 [secret API_KEY]\n[secret API_KEY]\n")
    assert command.redactions == worker.payload(command, "command_finished")["redactions"] == {"API_KEY": 3}


def test_what_a_machine_complains_of_is_told_without_secrets(worker, thread, oak, ada, change, machines, monkeypatch):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "correct-horse", by=ada)
    change(secret_bindings=[{"name": "API_KEY"}])

    def complain(*_):
        raise ProviderError("It does not take correct-horse.", permanent=True)

    monkeypatch.setattr(machines, "poll", complain)
    command = worker.run(thread, "sleep 6013.5", by=ada)
    assert (command.status, command.reason) == ("failed", "It does not take [secret API_KEY].")
    assert "correct-horse" not in str(worker.told(thread))


def test_a_command_that_prints_without_end_is_ended(worker, thread, ada, change):
    change(limits={"output_mb": 0.2})
    command = worker.run(thread, "yes", by=ada)
    assert command.status == "failed" and "printed more than" in command.reason
    assert len(worker.output(command)) <= 0.3 * 2**20


def test_a_command_that_runs_too_long_is_ended(worker, thread, ada, change):
    change(limits={"wall_seconds": 0.5})
    command = worker.run(thread, "echo begun; sleep 60", by=ada)
    assert command.status == "failed" and "ran longer than" in command.reason
    assert worker.output(command) == "begun\n"


def test_binary_output_is_named_not_shown(worker, thread, ada):
    command = worker.run(thread, "head -c 20000 /dev/urandom", by=ada)
    assert command.status == "completed" and "binary output" in worker.output(command)
    assert len(worker.output(command)) < 1000


def test_what_is_not_utf8_is_marked(worker, thread, ada):
    command = worker.run(thread, r"printf 'caf\351 \303\251 \000 \355\240\200 end\n'", by=ada)
    output = worker.output(command)
    assert output.startswith("caf\ufffd é") and output.endswith(" end\n") and "\0" not in output


def test_a_character_cut_in_two_is_put_together(worker, thread, ada):
    command = worker.run(thread, r"printf '\303'; sleep 0.3; printf '\251'", by=ada)
    assert worker.output(command) == "é"


def test_a_thousand_files_are_told_in_a_few_words(worker, thread, repository, oak, ada):
    """An event that names too many files would be one that no stream takes, and hold up all that come after it."""
    command = worker.run(thread, "mkdir many; for i in $(seq 1200); do : > many/some-file-with-a-name-$i; done", by=ada)
    finished = worker.payload(command, "command_finished")
    assert (command.status, len(finished["changed"]) + finished["more"]) == ("completed", 1200)
    assert len(finished["changed"]) < 1000 and len(worker.events(command, "artifact_made")) == 100
    with inside(oak):
        assert len(list(repository.bare.changes(command.before_tree, repository.tree))) == 1200


def test_several_at_once_share_the_tree_and_the_stream(worker, thread, ada):
    asked = [worker.ask(thread, f"echo {n}; sleep 0.5; echo {n} > {n}.txt", by=ada) for n in "abc"]
    began = time.monotonic()
    followers = [worker.aside(command) for command in asked]
    [follower.join() for follower in followers]
    assert time.monotonic() - began < 15
    assert [command.status for command in asked] == ["completed"] * 3
    assert [worker.output(command) for command in asked] == ["a\n", "b\n", "c\n"]
    assert len(worker.events(thread, "signal.sandbox.created")) == 1
    assert worker.output(worker.run(thread, "cat ?.txt", by=ada)) == "a\nb\nc\n"


def test_another_environment_is_another_machine(worker, thread, repository, oak, ada, environment):
    from sandboxes.models import Environment

    worker.run(thread, "echo 1 > mine", by=ada)
    with inside(oak, ada):
        other = Environment.objects.create_in(
            oak, "other", by=ada, config={"repository": repository.pk, "env": {"A": "b"}}, secret_bindings=[]
        )
    command = worker.run(thread, "echo $A", by=ada, environment=other)
    worker.again(thread)
    assert worker.output(command) == "b\n" and command.sandbox_id != thread.sandbox_id


def test_a_set_up_that_fails_is_said_with_its_words(worker, thread, ada, change, machines):
    change(setup="echo cannot find the thing; exit 7")
    command = worker.run(thread, "true", by=ada)
    assert command.status == "failed"
    assert "ended with 7" in command.reason and "cannot find the thing" in command.reason
    assert machines.list() == []


def test_a_set_up_is_done_before_and_once(worker, thread, ada, change):
    change(setup="echo ready >> ~/ready")
    for _ in range(2):
        command = worker.run(thread, "cat ~/ready", by=ada)
    assert worker.output(command) == "ready\n"


# Stopping


def is_running(mark):
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in found.read_bytes():
                return True
        except OSError:
            continue
    return False


def test_stopping_ends_everything_that_it_started(worker, thread, ada, bo):
    long = f"86401{os.getpid()}"  # the same test may run elsewhere on this machine at the same time
    away = f"setsid sleep {long} & (setsid sh -c 'sleep {long} & sleep {long}' &); nohup sleep {long} &"
    command = worker.ask(thread, f"{away} echo begun; sleep 86402", by=ada)
    aside = worker.aside(command)
    worker.until(command, "begun")
    assert is_running(long)
    worker.stop(command, by=bo)
    aside.join()
    assert (command.status, command.reason) == ("cancelled", "Stopped by Bo.")
    assert worker.events(command, "command_finished")[0]["author_agent_id"] == str(bo.pk)
    assert not is_running(long)


def test_a_stopped_command_keeps_its_tree_but_lands_nothing(worker, thread, repository, oak, ada):
    command = worker.ask(thread, "echo half > half.txt; echo begun; sleep 600", by=ada)
    aside = worker.aside(command)
    worker.until(command, "begun")
    worker.stop(command, by=ada)
    aside.join()
    finished = worker.payload(command, "command_finished")
    assert finished["snapshot"] and finished["landed"] is None
    assert [change["path"] for change in finished["changed"]] == ["half.txt"]


def test_one_that_ended_well_before_the_stop_came_is_completed(worker, thread, ada, bo):
    command = worker.ask(thread, "echo done", by=ada)
    claimed = worker.claim(command)
    with inside(thread.house_id, bo):
        Command.objects.filter(pk=command.pk).update(started_at=command.created_at)
        command.stop(by=bo)
    assert claimed.status == "running"


def test_stopped_between_the_claim_and_the_start_it_never_starts(worker, thread, ada, bo):
    from threads.following.commands import follow

    command = worker.ask(thread, "touch it", by=ada)
    claimed = worker.claim(command)
    worker.stop(command, by=bo)
    follow(claimed)
    worker.again(command)
    assert (command.status, command.started_at, command.reason) == ("cancelled", None, "Stopped by Bo before it began.")


# The machine dies


def test_a_machine_that_is_gone_is_followed_by_another_with_its_tree(worker, thread, oak, ada, machines):
    first = worker.run(thread, "echo kept > kept.txt; mkdir -p a/b; echo deep > a/b/c", by=ada)
    with inside(oak, ada):
        other = Thread.objects.open_in(oak, by=ada, name="other")
        Thread.objects.filter(pk=other.pk).update(sandbox=first.sandbox_id)
    worker.gone(first, machines)
    second = worker.run(thread, "cat kept.txt a/b/c", by=ada)
    assert worker.output(second) == "kept\ndeep\n" and second.sandbox_id != first.sandbox_id
    worker.again(thread)
    worker.again(other)
    assert thread.sandbox_id == other.sandbox_id == second.sandbox_id
    for one in (thread, other):
        resumed = worker.payload(one, "sandbox_resumed")
        snapshot = worker.payload(first, "command_finished")["snapshot"]
        assert resumed == {"sandbox_id": second.sandbox_id, "restored_from": snapshot, "lost": ""}
    with inside(oak):
        assert Sandbox.objects.get(pk=first.sandbox_id).status == "dead"


def test_two_who_notice_at_once_resume_once(worker, thread, oak, ada, machines):
    first = worker.run(thread, "echo kept > kept.txt", by=ada)
    worker.gone(first, machines)
    asked = [worker.ask(thread, "cat kept.txt", by=ada) for _ in range(3)]
    followers = [worker.aside(command) for command in asked]
    [follower.join() for follower in followers]
    assert [worker.output(command) for command in asked] == ["kept\n"] * 3
    assert len({command.sandbox_id for command in asked}) == 1
    assert len(worker.events(thread, "sandbox_resumed")) == 1


def test_a_machine_that_dies_under_a_command_fails_it_and_says_so(worker, thread, ada, machines):
    command = worker.ask(thread, "echo begun; sleep 600", by=ada)
    aside = worker.aside(command)
    worker.until(command, "begun")
    worker.gone(command, machines)
    aside.join()
    assert (command.status, command.reason) == ("failed", "The sandbox it ran in is gone.")
    assert worker.output(command) == "begun\n"
    assert worker.run(thread, "true", by=ada).status == "completed"


def test_a_machine_that_died_before_its_first_snapshot_says_what_is_lost(worker, thread, oak, ada, machines):
    first = worker.ask(thread, "echo begun; sleep 600", by=ada)
    aside = worker.aside(first)
    worker.until(first, "begun")
    worker.gone(first, machines)
    aside.join()
    worker.run(thread, "true", by=ada)
    assert worker.payload(thread, "sandbox_resumed")["lost"].startswith("Everything")


# The worker dies

LINES = "for i in $(seq 1 6); do echo line $i; sleep 0.03; done; echo made > made.txt"
DEATHS = [
    ("start", "call"),
    ("_row_for", "return"),
    ("Sandbox.make_ready", "call"),
    ("Sandbox.make_ready", "return"),
    ("Command.note_start", "return"),
    ("_prepare_tree", "return"),
    ("Local.exec", "call"),
    ("Local.exec", "return"),
    ("_started", "return"),
    ("Poured.note_chunk", "return"),
    ("_append", "call"),
    ("_append", "return"),
    ("_outcome", "return"),
    ("_keep_tree", "return"),
    ("Repository.land", "return"),
    ("Command.finish", "return"),
    ("_record", "return"),
]


@pytest.mark.parametrize(("at", "moment"), DEATHS)
def test_a_worker_may_die_anywhere_and_nothing_is_lost_or_doubled(worker, thread, repository, oak, ada, at, moment):
    command = worker.ask(thread, LINES, by=ada)
    worker.killed(command, at, moment)
    worker.follow(command)
    assert command.status == "completed"
    assert worker.output(command) == "".join(f"line {n}\n" for n in range(1, 7))
    kinds = [event["type"] for event in worker.events(command)]
    assert [kinds.count(f"command_{kind}") for kind in ("queued", "started", "finished")] == [1, 1, 1]
    assert kinds.count("artifact_made") == 1 and len(worker.made("made.txt")) == 1
    with inside(oak):
        assert repository.read("made.txt") == b"made\n"
        assert len(repository.bare.lookup(repository.head).parents) == 1
        assert worker.payload(command, "command_finished")["landed"] == repository.head


@pytest.mark.parametrize("beside", [None, "n=side; echo theirs > be$n.txt", "n=made; echo theirs > $n.txt"])
def test_after_a_landing_that_nobody_wrote_down_the_next_one_brings_the_rest(
    worker, thread, repository, oak, ada, beside
):
    """The commit is of an earlier tree: what others wrote into it since is not on the branch yet."""
    command = worker.ask(thread, "echo one > made.txt", by=ada)
    worker.killed(command, "Repository.land", "return")
    if beside:
        worker.run(thread, beside, by=ada)
    worker.follow(command)
    last = worker.run(thread, "echo two > made.txt", by=ada)
    assert worker.payload(last, "command_finished")["conflicts"] == []
    with inside(oak):
        assert repository.read("made.txt") == b"two\n"
        assert "side" not in (beside or "") or repository.read("beside.txt") == b"theirs\n"


def test_two_workers_who_both_think_it_is_theirs_tell_it_once(worker, thread, oak, ada):
    from threads.following.commands import follow

    command = worker.ask(thread, LINES, by=ada)
    aside = worker.aside(command)
    worker.until(command, "line 3")
    worker.lapse(command)
    second = worker.claim(command)
    other = threading.Thread(target=lambda: (follow(second), connection_closed()))
    other.start()
    aside.join()
    other.join()
    worker.again(command)
    assert command.status == "completed"
    assert worker.output(command) == "".join(f"line {n}\n" for n in range(1, 7))
    assert len(worker.events(command, "command_finished")) == 1


def connection_closed():
    from django.db import connection

    connection.close()
