"""Sandboxes as rows: before their machine, while it lives, and after; and the janitor, who looks both ways."""

import threading

import pytest
from django.db import connection

from artifacts.models import Repository
from houses.tenancy import inside
from sandboxes import janitor, providers
from sandboxes.models import Environment, Sandbox
from sandboxes.setting_up import SetupFailed


@pytest.fixture
def machines(var):
    providers.provider.cache_clear()
    machine = providers.provider("local")
    yield machine
    for ref in machine.list():
        machine.destroy(ref)
    providers.provider.cache_clear()


@pytest.fixture
def environment(committed, oak, ada, machines):
    with inside(oak, ada):
        return Environment.objects.create_in(oak, "plain", by=ada, config={}, secret_bindings=[])


@pytest.fixture
def repository(environment, oak, ada):
    with inside(oak, ada):
        repository = environment.repository
        repository.write("file.txt", b"one\n", by=ada)
    return repository


@pytest.fixture
def pending(environment, repository, oak):
    """A row before its machine."""
    with inside(oak):
        return Sandbox.objects.born(environment)


@pytest.fixture
def ready(pending):
    """A machine with the repository's tree."""
    with pending.alone():
        pending.make_ready()
    return pending


def tree(machines, sandbox):
    folder = machines.root / sandbox.ref / "tree"
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def seen(oak, sandbox):
    with inside(oak):
        return Sandbox.objects.get(pk=sandbox.pk)


def test_the_row_comes_first(pending, machines):
    assert (pending.status, pending.provider_ref, machines.list()) == ("pending", None, [])
    assert not pending.is_alive()


def test_a_machine_has_the_branch_as_its_tree(ready, repository, oak, machines):
    row = seen(oak, ready)
    with inside(oak):
        assert row.status == "live" and row.tree == row.base_tree == repository.tree
    assert tree(machines, ready) == {"file.txt": "one\n"} and ready.is_alive()


def test_a_set_up_that_fails_is_not_a_machine(pending, environment, oak, ada):
    with inside(oak):
        environment.change(name="plain", config={"setup": "echo oh; exit 9"}, secret_bindings=[], by=ada)
    with pending.alone(), pytest.raises(SetupFailed, match=r"ended with 9: oh"):
        pending.make_ready()
    assert seen(oak, pending).status == "pending"


def test_a_set_up_gets_the_plain_variables(pending, environment, oak, ada, machines):
    config = {"setup": 'printf "$COLOUR" > colour.txt', "env": {"COLOUR": "red"}}
    with inside(oak):
        environment.change(name="plain", config=config, secret_bindings=[], by=ada)
    with pending.alone():
        pending.make_ready()
    assert tree(machines, pending)["colour.txt"] == "red"


def test_what_is_new_on_the_branch_comes_into_the_tree(ready, repository, oak, ada, machines):
    (machines.root / ready.ref / "tree" / "mine.txt").write_text("mine")
    ready.look(repository)
    with inside(oak, ada):
        repository.write("file.txt", b"two\n", by=ada)
        assert ready.level(repository) == []
    assert tree(machines, ready) == {"file.txt": "two\n", "mine.txt": "mine"}


def test_what_both_sides_changed_stays_as_the_tree_has_it(ready, repository, oak, ada, machines):
    (machines.root / ready.ref / "tree" / "file.txt").write_text("mine\n")
    ready.look(repository)
    with inside(oak, ada):
        repository.write("file.txt", b"theirs\n", by=ada)
        assert ready.level(repository) == ["file.txt"]
    assert tree(machines, ready) == {"file.txt": "mine\n"}


def test_a_look_keeps_the_tree_untracked_files_too(ready, repository, oak, machines):
    (machines.root / ready.ref / "tree" / "new.txt").write_text("new\n")
    looked = ready.look(repository)
    with inside(oak):
        assert repository.bare.entry(looked.tree, "new.txt") is not None
    assert seen(oak, ready).tree == looked.tree


def test_one_born_of_a_dead_one_has_its_tree(ready, repository, environment, oak, machines):
    (machines.root / ready.ref / "tree" / "unsaved.txt").write_text("unsaved")
    ready.look(repository)
    ready.destroy()
    with inside(oak):
        heir = Sandbox.objects.born(environment, from_=ready)
    with heir.alone():
        heir.make_ready()
    assert tree(machines, heir) == {"file.txt": "one\n", "unsaved.txt": "unsaved"}


def test_destroying_twice_is_destroying_once(ready, oak, machines):
    ready.destroy()
    gone = seen(oak, ready)
    ready.destroy()
    assert (gone.status, machines.list()) == ("dead", [])
    assert seen(oak, ready).destroyed_at == gone.destroyed_at is not None


def test_one_at_a_time_is_with_a_machine(ready):
    order, inside_now = [], []

    def work(name):
        with ready.alone():
            inside_now.append(name)
            order.append(len(inside_now))
            inside_now.remove(name)
        connection.close()

    workers = [threading.Thread(target=work, args=[name]) for name in "abcd"]
    [worker.start() for worker in workers]
    [worker.join(20) for worker in workers]
    assert order == [1, 1, 1, 1]


# The janitor


def test_all_in_order_nothing_to_do(ready):
    assert janitor.sweep() == (0, 0)


def test_a_row_without_its_machine_is_buried(ready, oak, machines):
    machines.destroy(ready.ref)
    assert janitor.sweep() == (1, 0)
    assert seen(oak, ready).status == "dead"
    assert janitor.sweep() == (0, 0)


def test_a_machine_without_a_row_is_destroyed(ready, machines):
    machines.create("nobodys")
    assert janitor.sweep() == (0, 1)
    assert machines.list() == [ready.ref]


def test_a_machine_of_a_dead_row_is_destroyed(ready, machines):
    ready.bury()
    assert janitor.sweep() == (0, 1)
    assert machines.list() == []


def test_a_machine_that_is_only_being_made_is_left_alone(pending, machines):
    machines.create(pending.pk)
    assert janitor.sweep() == (0, 0)
    assert machines.list() == [pending.pk]


def test_the_janitor_looks_into_every_house(ready, elm, cy, machines):
    with inside(elm, cy):
        theirs = Sandbox.objects.born(Environment.objects.create_in(elm, "e", by=cy, config={}, secret_bindings=[]))
    with theirs.alone():
        theirs.make_ready()
    for ref in (ready.ref, theirs.ref):
        machines.destroy(ref)
    assert janitor.sweep() == (2, 0)
    assert (seen(elm, theirs).status, Repository.objects.count()) == ("dead", 0)
