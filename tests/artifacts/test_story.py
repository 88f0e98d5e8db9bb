import pytest

from artifacts.plan import UnknownTarget


@pytest.fixture
def chain(bench):
    bench.write(weather="w1")
    bench.run("monthly", reads=["weather"], monthly="M1")
    bench.run("report", reads=["monthly"], report="R1")
    return bench


def test_why_names_the_file_both_ids_the_commit_and_the_person(chain, bo):
    old = chain.oid("weather")
    commit = chain.repository.write("weather", b"w2", by=bo)
    why = chain.repository.why("report")
    (cause,) = why.causes
    assert why.state == "stale"
    assert (cause.target, cause.reason.path, cause.reason.old, cause.reason.new) == (
        "monthly",
        "weather",
        old,
        chain.oid("weather"),
    )
    assert (cause.commit, cause.author_id, cause.author) == (commit, bo.pk, "Bo")
    assert [r.kind for r in why.reasons] == ["upstream"]


def test_a_commit_from_elsewhere_that_is_signed_by_somebody_next_door_is_not_theirs(chain, cy):
    before = chain.repository.tree
    chain.repository.land(before, chain.bare.edit(before, {"weather": b"w2"}), by=cy, message="-")
    (cause,) = chain.repository.why("report").causes
    assert (cause.author_id, cause.author) == (None, "Cy")


def test_why_of_a_fresh_file_tells_where_it_comes_from(chain):
    why = chain.repository.why("monthly")
    assert (why.state, why.causes, why.downstream) == ("fresh", (), ("report",))
    assert (why.derivation.command, [i.path for i in why.inputs]) == ("monthly", ["weather"])


def test_why_of_an_edited_file_names_who_edited(chain, bo):
    chain.write(by=bo, report="by hand")
    why = chain.repository.why("report")
    assert (why.state, why.causes[0].reason.kind, why.causes[0].author) == ("edited", "edited", "Bo")


def test_why_of_a_source_tells_what_is_made_from_it(chain):
    why = chain.repository.why("weather")
    assert (why.state, why.derivation, why.downstream) == ("source", None, ("monthly", "report"))
    assert why.written.author.name == "Ada"


def test_why_of_nothing_is_refused(chain):
    with pytest.raises(UnknownTarget):
        chain.repository.why("nothing")


def test_the_lineage_goes_both_ways(chain):
    chain.write(weather="w2")
    lineage = chain.repository.lineage("monthly")
    assert {node.path: node.state for node in lineage.nodes} == {
        "weather": "source",
        "monthly": "stale",
        "report": "stale",
    }
    assert lineage.edges == (("monthly", "report"), ("weather", "monthly"))


def test_a_large_lineage_is_cut(chain):
    for number in range(5):
        chain.run(f"c{number}", reads=["report"], **{f"out{number}": "-"})
    lineage = chain.repository.lineage("report", limit=4)
    assert lineage.is_cut
    assert len(lineage.nodes) == 4


def test_the_lineage_knows_that_an_environment_changed(chain):
    lineage = chain.repository.lineage("monthly", {"env": "2"})
    assert [node.state for node in lineage.nodes] == ["stale", "stale", "source"]
