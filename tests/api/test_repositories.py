import pytest

from artifacts.made import Made
from artifacts.models import Repository
from houses.models import Agent
from houses.tenancy import inside


@pytest.fixture
def files(api, kitchen) -> str:
    return f"repositories/{kitchen['repository']}/files/"


@pytest.fixture
def report(api, kitchen, files, oak, ada) -> str:
    """`report.md` was made from `data.csv`, in the kitchen."""
    api.ok("PUT", files + "data.csv", b"1\n2\n")
    with inside(oak, ada):
        repository = Repository.objects.get(pk=kitchen["repository"])
        before = repository.tree
        commit = repository.write("report.md", b"3\n", by=ada)
        recipe = {"command": "sum < data.csv > report.md", "environment": kitchen["environment"]}
        from threads.makes import environment_digests

        recipe["environment_digest"] = environment_digests()[kitchen["environment"]]
        run = Made(before=before, after=repository.tree, reads={"data.csv"}, recipe=recipe, commit=commit, by=ada)
        repository.record(run)
    return "report.md"


def test_a_repository_is_made_and_imported(api, ada, tmp_path):
    made = api.ok("POST", "repositories/", {"name": "notes"}, 201)
    assert api.ok("GET", f"repositories/{made['id']}/") == made
    assert api.refused("POST", "repositories/", {"name": "notes"}) == (409, "name_taken")
    (tmp_path / "a.txt").write_text("hello")
    elsewhere = {"name": "brought", "source": str(tmp_path)}
    assert api.refused("POST", "repositories/", elsewhere) == (400, "cannot_import")
    Agent.objects.filter(pk=ada.pk).update(is_operator=True)  # folders of the server are theirs alone
    brought = api.ok("POST", "repositories/", elsewhere, 201)
    assert api("GET", f"repositories/{brought['id']}/files/a.txt").content == b"hello"
    assert api.refused("POST", "repositories/", {"name": "x", "source": "/no/such"}) == (400, "cannot_import")
    assert [one["name"] for one in api.ok("GET", "repositories/")["results"]] == ["brought", "notes"]


def test_a_file_is_written_read_listed_and_removed(api, kitchen, files):
    written = api.ok("PUT", files + "a/b.bin", b"\x00\xff")
    read = api("GET", files + "a/b.bin", Accept="image/png")
    assert read.content == b"\x00\xff" and read.headers["ETag"] == f'"{written["oid"]}"'
    assert read.headers["Content-Type"] == "application/octet-stream"
    tree = f"repositories/{kitchen['repository']}/tree/"
    assert [(one["name"], one["kind"]) for one in api.ok("GET", tree)["entries"]] == [("a", "folder")]
    (entry,) = api.ok("GET", tree + "?path=a/")["entries"]
    assert (entry["path"], entry["size"], entry["oid"]) == ("a/b.bin", 2, written["oid"])
    api.ok("DELETE", files + "a/b.bin")
    assert api.refused("GET", files + "a/b.bin") == (404, "not_found")
    assert api.ok("GET", f"{tree}?path=a&at={written['commit']}")["entries"] == [entry]
    assert api("GET", f"{files}a/b.bin?at={written['commit']}").content == b"\x00\xff"


def test_somebody_elses_change_is_not_written_over(api, files):
    first = api.ok("PUT", files + "a", b"1")
    api.ok("PUT", files + "a", b"2")
    assert api.refused("PUT", files + "a", b"3", **{"If-Match": f'"{first["oid"]}"'}) == (412, "precondition_failed")
    assert api.refused("DELETE", files + "a", **{"If-Match": f'"{first["oid"]}"'}) == (412, "precondition_failed")
    assert api("GET", files + "a").content == b"2"


@pytest.mark.parametrize("path", ["../a", "a/../b", "/etc/passwd", ".git/config", "a%00b", "a//b"])
def test_a_path_outside_the_repository_is_refused(api, files, path):
    for method in ("GET", "PUT", "DELETE"):
        assert api.refused(method, files + path, b"x") == (400, "path_outside_repository")


@pytest.mark.parametrize("at", ["main", "0" * 40, "zz"])
def test_a_version_that_is_not_there(api, kitchen, at):
    status, _ = api.refused("GET", f"repositories/{kitchen['repository']}/tree/?at={at}")
    assert status in (400, 404)


def test_a_tree_is_not_a_version(api, kitchen, files):
    api.ok("PUT", files + "a/b", b"x")
    tree = f"repositories/{kitchen['repository']}/tree/"
    (folder,) = api.ok("GET", tree)["entries"]
    assert api.refused("GET", f"{tree}?at={folder['oid']}") == (404, "not_found")


def test_what_was_made_from_what(api, kitchen, report, ada):
    where = f"repositories/{kitchen['repository']}/"
    (derivation,) = api.ok("GET", where + "derivations/?path=report.md")["results"]
    assert derivation["made_by"] == str(ada.pk) and derivation["state"] == "fresh"
    assert [one["path"] for one in derivation["inputs"]] == ["data.csv"]
    assert len(api.ok("GET", where + "derivations/?from_path=data.csv")["results"]) == 1
    assert api.ok("GET", where + "derivations/?from_path=other")["results"] == []
    lineage = api.ok("GET", where + "lineage/?path=report.md")
    assert lineage["edges"] == [["data.csv", "report.md"]]
    assert [(one["path"], one["state"]) for one in lineage["nodes"]] == [("data.csv", "source"), ("report.md", "fresh")]


def test_what_went_stale_and_why(api, kitchen, report, files, ada):
    where = f"repositories/{kitchen['repository']}/"
    assert api.ok("GET", where + "stale/")["results"] == []
    changed = api.ok("PUT", files + "data.csv", b"1\n2\n3\n")
    (stale,) = api.ok("GET", where + "stale/")["results"]
    assert (stale["path"], stale["state"], stale["reasons"][0]["kind"]) == ("report.md", "stale", "input_changed")
    why = api.ok("GET", where + "why/?path=report.md")
    (cause,) = why["causes"]
    assert cause["commit"] == changed["commit"] and cause["author_id"] == str(ada.pk)
    assert cause["reason"]["new"] == changed["oid"] and "data.csv" in cause["reason"]["sentence"]
    assert api.ok("GET", where + "why/?path=data.csv")["downstream"] == ["report.md"]
    assert api.refused("GET", where + "why/?path=nothing") == (404, "unknown_target")
    assert api.refused("GET", where + "why/") == (400, "invalid")


def test_a_plan_says_what_would_run_and_a_make_runs_it(api, kitchen, report, files):
    thread = f"threads/{kitchen['thread']}/"
    assert api.ok("GET", thread + "plan/?target=report.md") == {
        "target": "report.md",
        "steps": [],
        "fresh": 1,
        "seconds": 0,
        "tokens": 0,
        "usd": None,
    }
    api.ok("PUT", files + "data.csv", b"1\n2\n3\n")
    (step,) = api.ok("GET", thread + "plan/")["steps"]
    assert step["outputs"] == ["report.md"] and "data.csv" in step["reasons"][0]
    make = api.ok("POST", thread + "makes/", {"target": "./report.md"}, 201)
    assert (make["target"], make["status"], make["planned"]) == ("report.md", "running", 1)
    assert api.ok("POST", thread + "makes/", {"target": "report.md"}, 201)["id"] == make["id"]
    assert api.ok("GET", f"{thread}makes/{make['id']}/")["status"] == "running"
    assert api.ok("PUT", f"{thread}makes/{make['id']}/stop/")["status"] == "cancelled"


def test_a_file_is_made_where_it_was_made_before_or_in_a_new_thread(api, kitchen, report, files):
    api.ok("PUT", files + "data.csv", b"1\n2\n3\n")
    makes = f"repositories/{kitchen['repository']}/makes/"
    make = api.ok("POST", makes, {"target": "./report.md"}, 201)
    assert (make["target"], make["planned"]) == ("report.md", 1)
    assert api.ok("GET", f"threads/{make['thread']}/")["name"] == "make report.md"
    assert api.refused("POST", makes, {"target": "nothing"}) == (404, "unknown_target")


def test_what_nobody_made_cannot_be_made(api, kitchen):
    thread = f"threads/{kitchen['thread']}/"
    assert api.refused("GET", thread + "plan/?target=nothing") == (404, "unknown_target")
    assert api.refused("POST", thread + "makes/", {"target": "nothing"}) == (404, "unknown_target")


def test_an_edited_file_is_not_made_over(api, kitchen, report, files):
    api.ok("PUT", files + "report.md", b"by hand")
    status, code = api.refused("POST", f"threads/{kitchen['thread']}/makes/", {"target": report})
    assert (status, code) == (409, "edited_by_hand")
