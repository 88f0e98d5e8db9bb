"""A workbench: a machine of an environment, with everything that a thread does around a command but the thread."""

import time

from artifacts.models import Repository
from artifacts.repositories import author
from houses.tenancy import inside
from sandboxes.models import Environment, Sandbox
from sandboxes.provider import Exec, Limits

LIMITS = Limits(memory_mb=512, wall_seconds=20)


class Bench:
    """Whoever works at it, a repository, and the machine as it is now."""

    def __init__(self, house, by, repository=None, setup=""):
        self.house, self.by, self.count, self.reads = house, by, 0, None
        with inside(house, by):
            self.repository = repository or Repository.objects.create_in(house, f"work-{time.monotonic_ns()}", by=by)
        self.make(setup)

    def make(self, setup=""):
        with inside(self.house, self.by):
            environment = Environment.objects.create_in(
                self.house,
                "work",
                by=self.by,
                config={"repository": self.repository.pk, "setup": setup},
                secret_bindings=[],
            )
            self.sandbox = Sandbox.objects.born(environment)
        with self.sandbox.alone():
            self.sandbox.make_ready()

    @property
    def machine(self):
        return self.sandbox.machine

    @property
    def tree(self):
        return self.machine.root / self.sandbox.pk / "tree"

    def write(self, **files):
        with inside(self.house, self.by):
            for name, text in files.items():
                self.repository.write(name, text.encode(), by=self.by)

    def prepare(self):
        with inside(self.house, self.by):
            self.sandbox.level(self.repository)
        self.machine.arm(self.sandbox.ref)

    def run(self, command, lands=True, **variables):
        """Level, arm, run, look, land: what a thread does."""
        self.count += 1
        name, ref = f"p{self.count}", self.sandbox.ref
        with self.sandbox.alone():
            self.prepare()
            env = author(self.by).variables | variables
            self.machine.exec(ref, Exec(process_id=name, command=command, env=env, limits=LIMITS))
            while (ended := self.machine.poll(ref, name)) is None:
                self.machine.wait(ref, name, 1 << 60, timeout=1)
            seen, self.reads = self.sandbox.look(self.repository), self.machine.reads(ref)
        output = self.machine.read(ref, name, 0, 1 << 20).decode()
        if lands:
            self.land(seen.tree, command)
        self.code = ended.code
        return output

    def land(self, tree, command):
        with inside(self.house, self.by):
            base = self.sandbox.base_tree
            self.repository.land(base, tree, by=self.by, message=f"$ {command}", key=f"c{self.count}")
            Sandbox.objects.filter(pk=self.sandbox.pk).update(base_tree=tree)

    def read(self, path):
        with inside(self.house, self.by):
            return self.repository.read(path).decode()
