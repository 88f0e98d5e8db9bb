"""Plans against a tiny model of make: random graphs, random edits, and a make that only follows what is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.graph import Reason
from artifacts.steps import Cycle, Node, arrange


def node(path, *inputs, key=None, **options):
    return Node(path=path, key=key or path, recipe={"command": path}, inputs=inputs, **options)


def changed(path):
    return (Reason("input_changed", path, "1", "2"),)


def graph(*nodes):
    return {one.path: one for one in nodes}


class Model:
    """Files hold the hash of what they were made from, or `coarse` ones a constant: those cut off early."""

    def __init__(self, recipes, sources):
        self.recipes, self.files = recipes, dict(sources)
        self.known, self.ran = {}, []
        for path in recipes:
            self.make(path)
        self.ran.clear()

    def make(self, path):
        inputs, coarse = self.recipes[path]
        self.known[path] = {name: self.files[name] for name in inputs}
        self.files[path] = 0 if coarse else hash((path, *self.known[path].values()))
        self.ran.append(path)

    def nodes(self):
        def reasons(path):
            return [Reason("input_changed", i) for i, was in self.known[path].items() if self.files[i] != was]

        return graph(*(node(p, *inputs, reasons=tuple(reasons(p))) for p, (inputs, _) in self.recipes.items()))

    def follow(self, target):
        """Make the target as a thread does it: run what is ready, look again."""
        planned = [step.key for step in arrange(self.nodes(), target)[0]]
        while steps := arrange(self.nodes(), target)[0]:
            for step in [step for step in steps if not step.after]:
                self.make(step.key)
        return planned

    def expected(self, path, seen):
        """What the file would hold if everything above it were made from scratch."""
        if path not in self.recipes:
            return self.files[path]
        if path not in seen:
            inputs, coarse = self.recipes[path]
            seen[path] = 0 if coarse else hash((path, *(self.expected(i, seen) for i in inputs)))
        return seen[path]


@st.composite
def worlds(draw):
    sources = [f"s{n}" for n in range(draw(st.integers(1, 4)))]
    recipes, paths = {}, list(sources)
    for n in range(draw(st.integers(1, 8))):
        inputs = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4, unique=True))
        recipes[f"t{n}"] = (inputs, draw(st.booleans()))
        paths.append(f"t{n}")
    edits = draw(st.dictionaries(st.sampled_from(sources), st.integers(1, 3)))
    return Model(recipes, dict.fromkeys(sources, 0)), edits, draw(st.sampled_from(sorted(recipes)))


@given(worlds())
def test_a_make_ends_right_and_runs_nothing_twice_and_nothing_that_was_not_planned(world):
    model, edits, target = world
    model.files |= edits
    planned = model.follow(target)
    assert model.files[target] == model.expected(target, {})
    assert len(model.ran) == len(set(model.ran))
    assert set(model.ran) <= set(planned)
    assert arrange(model.nodes(), target)[0] == ()


@given(worlds())
def test_a_plan_is_in_order_and_holds_every_step_with_a_reason_of_its_own(world):
    model, edits, target = world
    model.files |= edits
    steps, fresh = arrange(model.nodes(), target)
    at = {step.key: n for n, step in enumerate(steps)}
    assert all(at[before] < at[step.key] for step in steps for before in step.after)
    assert all(step.reasons for step in steps)
    above, frontier = set(), [target]
    while frontier:
        path = frontier.pop()
        if path in model.recipes and path not in above:
            above.add(path)
            frontier += model.recipes[path][0]
    assert {p for p in above if model.nodes()[p].reasons} <= at.keys() <= above
    assert fresh == len(above) - len(steps)


def test_a_long_chain_is_no_deeper_than_a_short_one():
    nodes = graph(node("0", "s", reasons=changed("s")), *(node(str(n), str(n - 1)) for n in range(1, 5000)))
    steps, _ = arrange(nodes, "4999")
    assert [step.key for step in steps] == [str(n) for n in range(5000)]


def test_the_path_of_a_circle_is_told():
    with pytest.raises(Cycle, match="`a` → `b` → `c` → `a`"):
        arrange(graph(node("a", "c"), node("b", "a"), node("c", "b"), node("d", "c")), "d")


def test_a_circle_elsewhere_is_nobodys_business():
    assert arrange(graph(node("a", "b"), node("b", "a"), node("c", "s")), "c") == ((), 1)


def test_a_file_beside_that_is_not_needed_is_no_reason():
    nodes = graph(node("a", "s", key="k"), node("b", "s", key="k", reasons=changed("s")))
    assert arrange(nodes, "a") == ((), 1)
    assert [step.outputs for step in arrange(nodes, "b")[0]] == [("a", "b")]
