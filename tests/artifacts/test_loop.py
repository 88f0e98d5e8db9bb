"""The whole loop on a real folder with real commands: restore, arm, run, look, land, record, make."""

import subprocess
import sys

import pytest

from artifacts import reads
from artifacts.made import Made
from artifacts.restore import restore
from artifacts.tree import snapshot

MONTHLY = """
import csv, collections
sums = collections.Counter()
for row in csv.DictReader(open("data/weather.csv")):
    sums[row["date"][:7]] += float(row["rain"])
for month in sorted(sums):
    print(month, sums[month])
"""
REPORT = 'from shared import title\nprint(title)\nprint(open("monthly.txt").read())\n'


class Tree:
    def __init__(self, bench, folder):
        if not reads.probe(folder):
            pytest.skip("the file system here does not tell")
        self.bench, self.tree, self.farm, self.cache = bench, folder / "tree", folder / "farm", folder / "cache"

    def run(self, command, targets=()):
        repository, bare = self.bench.repository, self.bench.bare
        restore(self.tree, bare, repository.tree, cache=self.cache)
        before = snapshot(self.tree, bare, self.cache).tree
        reads.arm(self.tree, self.farm)
        subprocess.run(["sh", "-c", command], cwd=self.tree, check=True)
        seen, after = reads.reads(self.tree, self.farm), snapshot(self.tree, bare, self.cache).tree
        landing = repository.land(before, after, by=self.bench.by, message=f"$ {command}")
        recipe = {"kind": "command", "command": command, "environment": "env", "environment_digest": "1"}
        run = Made(
            before=before,
            after=after,
            reads=seen,
            recipe=recipe,
            commit=landing.commit,
            by=self.bench.by,
            targets=targets,
        )
        return {d.path: {i.path for i in d.inputs.all()} for d in repository.record(run)}

    def make(self, target):
        ran, done = [], set()
        while ready := self.bench.repository.due(target, done).ready:
            for step in ready:
                self.run(step.command, step.outputs)
                done.add(step.key)
                ran += step.outputs
        return ran


@pytest.fixture
def tree(bench, tmp_path):
    bench.write(
        **{
            "data/weather.csv": "date,rain\n2012-01-01,0.5\n2012-01-02,1.5\n",
            "monthly.py": MONTHLY,
            "report.py": REPORT,
            "shared.py": 'title = "# Rain"\n',
        }
    )
    return Tree(bench, tmp_path)


def test_nobody_declares_anything_and_make_works(tree, bench, bo):
    python = f"env -u PYTHONDONTWRITEBYTECODE {sys.executable}"
    made = tree.run(f"{python} monthly.py > monthly.txt")
    assert made == {"monthly.txt": {"monthly.py", "data/weather.csv"}}
    made = tree.run(f"{python} report.py > report.md && cat report.md > /dev/null")
    assert made == {"report.md": {"report.py", "shared.py", "monthly.txt"}}
    assert tree.make("report.md") == []

    bench.write(by=bo, **{"data/weather.csv": "date,rain\n2012-01-01,3.5\n"})
    assert bench.stale() == {"monthly.txt": "stale", "report.md": "stale"}
    assert tree.make("report.md") == ["monthly.txt", "report.md"]
    assert "3.5" in bench.repository.read("report.md").decode()

    bench.write(by=bo, **{"monthly.py": MONTHLY + "# a comment\n"})
    assert tree.make("report.md") == ["monthly.txt"]

    bench.write(by=bo, **{"shared.py": 'title = "# Rain, rain"\n'})
    assert tree.make("report.md") == ["report.md"]

    assert tree.run("sed -i s/Rain/Sun/ report.md") == {}
    assert bench.stale() == {"report.md": "edited"}
