import pytest

from artifacts.models import Derivation
from artifacts.notes import notes
from artifacts.plan import UnknownTarget
from artifacts.steps import Cycle, EditedByHand


@pytest.fixture
def chain(bench):
    """weather → monthly → report ← yearly ← power"""
    bench.write(weather="w1", power="p1", monthly_py="m", yearly_py="y", report_py="r")
    bench.run("monthly", reads=["weather", "monthly_py"], monthly="M1")
    bench.run("yearly", reads=["power", "yearly_py"], yearly="Y1")
    bench.run("report", reads=["monthly", "yearly", "report_py"], report="R1")
    return bench


def reasons(bench, target):
    return [[(r.kind, r.path) for r in step.reasons] for step in bench.repository.plan(target).steps]


def test_what_was_read_and_written_is_the_graph(chain):
    row = Derivation.objects.of(chain.repository).get(path="report")
    assert [(i.path, i.how) for i in row.inputs.order_by("path")] == [
        ("monthly", "observed"),
        ("report_py", "observed"),
        ("yearly", "observed"),
    ]
    assert row.known_complete and row.made_by == chain.by and row.state == "fresh"


def test_nothing_changed_nothing_to_do(chain):
    assert chain.steps() == chain.steps("report") == []
    assert chain.stale() == {}


def test_a_changed_input_makes_what_hangs_on_it_stale(chain):
    chain.write(weather="w2")
    assert chain.stale() == {"monthly": "stale", "report": "stale"}
    assert reasons(chain, "report") == [[("input_changed", "weather")], [("upstream", "monthly")]]
    assert chain.steps("yearly") == []
    assert chain.repository.plan("report").fresh == 1


def test_a_change_taken_back_makes_it_fresh_again(chain):
    chain.write(weather="w2")
    chain.stale()
    chain.write(weather="w1")
    assert chain.stale() == {}


def test_an_output_that_comes_out_the_same_spares_the_rest(chain):
    chain.write(monthly_py="m, with a comment")
    due = chain.repository.due("report")
    assert ([s.command for s in due.ready], [s.command for s in due.waiting]) == (["monthly"], ["report"])
    chain.run("monthly", reads=["weather", "monthly_py"], targets=["monthly"])
    assert chain.repository.due("report") == ((), ())
    assert chain.stale() == {}


def test_an_output_that_comes_out_different_does_not(chain):
    chain.write(weather="w2")
    chain.run("monthly", reads=["weather", "monthly_py"], targets=["monthly"], monthly="M2")
    assert [s.command for s in chain.repository.due("report").ready] == ["report"]
    chain.run("report", reads=["monthly", "yearly"], targets=["report"], report="R2")
    assert chain.repository.due("report") == ((), ())


def test_independent_steps_are_ready_at_once(chain):
    chain.write(weather="w2", power="p2")
    due = chain.repository.due("report")
    assert ([s.command for s in due.ready], [s.command for s in due.waiting]) == (["monthly", "yearly"], ["report"])


def test_a_step_that_was_done_is_not_asked_again(chain):
    chain.write(weather="w2")
    (step,) = chain.repository.due("report").ready
    assert chain.repository.due("report", {step.key}) == ((), ())


def test_a_missing_output_is_made_again(chain):
    chain.repository.remove("monthly", by=chain.by)
    assert chain.stale() == {"monthly": "missing", "report": "stale"}
    assert reasons(chain, "report") == [
        [("output_missing", "monthly")],
        [("input_missing", "monthly"), ("upstream", "monthly")],
    ]
    chain.run("monthly", reads=["weather"], targets=["monthly"], monthly="M1")
    assert chain.steps("report") == []


def test_another_environment_is_a_reason(chain):
    assert chain.steps("yearly", environment_digests={"env": "1", "other": "9"}) == []
    (step,) = chain.repository.plan("yearly", {"env": "2"}).steps
    assert [(r.kind, r.old, r.new) for r in step.reasons] == [("environment_changed", "1", "2")]
    assert set(chain.repository.stale({"env": "2"})) == {"monthly", "yearly", "report"}


def test_a_target_nobody_made_is_refused(chain):
    with pytest.raises(UnknownTarget, match=r"Nobody has made `x\.md` yet: run a command that writes it once"):
        chain.steps("x.md")
    with pytest.raises(UnknownTarget, match="it is a source"):
        chain.steps("weather")


def test_a_file_edited_in_place_is_an_edit(chain):
    assert chain.run("sed -i s/R/X/ report", reads=["report"], report="X1") == []
    assert chain.stale() == {"report": "edited"}
    with pytest.raises(EditedByHand, match=r"`report` was edited by hand.*`\$ report`"):
        chain.steps("report")


def test_appending_is_an_edit_and_a_file_that_grew_is_not(chain):
    assert chain.run("echo more >> report", report="R1 more") == []
    assert [d.path for d in chain.run("again > yearly", reads=["power"], yearly="Y1 and Y2")] == ["yearly"]


def test_a_look_at_the_new_output_is_not_an_edit(chain):
    made = chain.run("again > report && cat report", reads=["monthly", "report"], report="R2")
    assert [(d.path, [i.path for i in d.inputs.all()]) for d in made] == [("report", ["monthly"])]


def test_the_same_command_by_hand_takes_an_edit_back(chain):
    chain.write(report="by hand")
    chain.run("report", reads=["monthly", "yearly", "report"], report="R1")
    assert chain.stale() == {}


def test_an_edited_file_upstream_is_a_source(chain):
    chain.write(monthly="by hand")
    assert chain.stale() == {"monthly": "edited", "report": "stale"}
    assert reasons(chain, "report") == [[("input_changed", "monthly")]]


def test_an_edited_file_is_not_overwritten_on_the_way(chain):
    chain.write(monthly="by hand", weather="w2")
    with pytest.raises(EditedByHand, match="`monthly`"):
        chain.steps("report")


def test_an_edited_file_beside_is_not_overwritten(bench):
    bench.write(data="1")
    bench.run("split", reads=["data"], left="l", right="r")
    bench.write(left="by hand", data="2")
    with pytest.raises(EditedByHand, match="`left`"):
        bench.steps("right")


def test_a_circle_is_refused_by_name(bench):
    bench.write(a="1")
    bench.run("b from a", reads=["a"], b="1")
    bench.run("c from b", reads=["b"], c="1")
    bench.run("a from c", reads=["c"], a="2")
    with pytest.raises(Cycle, match="`a` → `b` → `c` → `a`"):
        bench.steps("c")


def test_one_command_that_writes_two_files_is_one_step(bench):
    bench.write(data="1")
    bench.run("split", reads=["data"], left="l", right="r")
    bench.run("join", reads=["left", "right"], both="lr")
    bench.write(data="2")
    assert bench.steps("both") == [("left", "right"), ("both",)]


def test_where_nobody_tells_what_was_read_the_words_count(bench):
    bench.write(data="1", other="2")
    (row,) = bench.run("sum './data' --all > out", reads=None, out="1")
    assert [(i.path, i.how) for i in row.inputs.all()] == [("data", "declared")]
    assert not row.known_complete


def test_commands_that_overlap_get_what_they_name(bench):
    (row,) = bench.run("make > mine", reads=[], overlapped=True, mine="1", somebodys="2")
    assert (row.path, row.known_complete) == ("mine", False)


def test_a_failed_command_leaves_something_to_make_again(bench):
    bench.write(data="1")
    bench.run("sum > out", reads=["data"], out="1")
    bench.run("sum > out", reads=["data"], out="", exit_code=1)
    assert bench.stale() == {"out": "stale"}
    assert reasons(bench, "out") == [[("failed", "out")]]
    bench.run("sum > out", reads=["data"], out="1", targets=["out"])
    assert bench.stale() == {}


def test_what_did_not_land_was_not_made(bench, bo):
    bench.write(out="old\n")
    base = bench.repository.tree
    bench.write(by=bo, out="bo\n")
    from artifacts.made import Made

    after = bench.bare.edit(base, {"out": b"new\n"})
    landing = bench.repository.land(base, after, by=bench.by, message="-")
    recipe = {"kind": "command", "command": "x > out"}
    run = Made(before=base, after=after, reads=set(), recipe=recipe, commit=landing.commit, by=bench.by)
    assert bench.repository.record(run) == []


def test_telling_it_twice_records_it_once(bench):
    first = bench.run("x > out", out="1", command_id="same")
    assert bench.run("x > out", out="1", command_id="same") == first
    assert Derivation.objects.count() == len(list(notes(bench.bare))) == 1


def test_an_older_derivation_is_history(bench):
    bench.write(data="1")
    bench.run("x", reads=["data"], out="1")
    bench.run("y", reads=[], out="2")
    assert list(Derivation.objects.order_by("made_at").values_list("recipe__command", "current")) == [
        ("x", False),
        ("y", True),
    ]
    bench.write(data="2")
    assert bench.stale() == {}


def test_everything_can_be_planned_at_once(chain):
    chain.write(weather="w2")
    assert chain.steps() == [("monthly",), ("report",)]
