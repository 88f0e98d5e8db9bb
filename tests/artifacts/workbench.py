"""A workbench: commands that are only told of, as a tree before, a tree after, and what was read."""

from artifacts.made import Made
from artifacts.models import Repository


class Bench:
    def __init__(self, house, by, name="work"):
        self.by = by
        self.repository = Repository.objects.create_in(house, name, by=by)
        self.count = 0

    @property
    def bare(self):
        return self.repository.bare

    def oid(self, path):
        return self.bare.oids(self.repository.tree, [path])[path]

    def write(self, by=None, **files):
        for name, text in files.items():
            self.repository.write(name, text.encode(), by=by or self.by)

    def run(self, command, reads=(), by=None, environment="env", digest="1", **writes):
        options = {k: writes.pop(k) for k in ("targets", "overlapped", "exit_code", "command_id") if k in writes}
        self.count += 1
        by, before = by or self.by, self.repository.tree
        content = {name: None if text is None else text.encode() for name, text in writes.items()}
        after = self.bare.edit(before, content)
        landing = self.repository.land(before, after, by=by, message=f"$ {command}", key=f"c{self.count}")
        recipe = {"kind": "command", "command": command, "environment": environment, "environment_digest": digest}
        run = Made(
            before=before,
            after=after,
            reads=None if reads is None else set(reads),
            recipe=recipe,
            commit=landing.commit,
            by=by,
            command_id=options.pop("command_id", f"c{self.count}"),
            **options,
        )
        return self.repository.record(run)

    def steps(self, target=None, **options):
        return [step.outputs for step in self.repository.plan(target, **options).steps]

    def stale(self):
        return {path: one.state for path, one in self.repository.stale().items()}
