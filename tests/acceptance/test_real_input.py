"""The main job on real files: two sources, three chained scripts, and arbe knows what went stale and why."""

import csv
import hashlib
import io
import shutil
from pathlib import Path

import pytest

from tests.acceptance.hands import Hand, Workshop

pytestmark = pytest.mark.timeout(180)

WEATHER, ELECTRICITY = "data/seattle-weather.csv", "data/iowa-electricity.csv"
MONTHLY, YEARLY, REPORT = "results/monthly.csv", "results/yearly.csv", "report.md"

SCRIPTS = {
    "monthly.py": '''"""Monthly means of the weather."""
import csv
import os
from collections import defaultdict

months = defaultdict(list)
with open("data/seattle-weather.csv", newline="") as file:
    for row in csv.DictReader(file):
        months[row["date"][:7].replace("/", "-")].append((float(row["temp_max"]), float(row["precipitation"])))
os.makedirs("results", exist_ok=True)
with open("results/monthly.csv", "w") as file:
    print("month,temp_max,precipitation", file=file)
    for month, days in sorted(months.items()):
        means = [sum(values) / len(days) for values in zip(*days)]
        print(month, *(f"{mean:.2f}" for mean in means), sep=",", file=file)
''',
    "yearly.py": '''"""Yearly totals of the electricity, on standard output."""
import csv
import sys
from collections import Counter

totals = Counter()
with open(sys.argv[1], newline="") as file:
    for row in csv.DictReader(file):
        totals[row["year"][:4]] += int(row["net_generation"])
print("year,net_generation")
for year, total in sorted(totals.items()):
    print(f"{year},{total}")
''',
    "report.py": '''"""Joins the two results by year."""
import csv
from collections import defaultdict

warmth = defaultdict(list)
for row in csv.DictReader(open("results/monthly.csv", newline="")):
    warmth[row["month"][:4]].append(float(row["temp_max"]))
power = {row["year"]: int(row["net_generation"]) for row in csv.DictReader(open("results/yearly.csv", newline=""))}
print("# Warmth and power\\n\\n| year | mean of monthly highs | net generation |\\n| --- | ---: | ---: |")
for year in sorted(warmth.keys() & power.keys()):
    print(f"| {year} | {sum(warmth[year]) / len(warmth[year]):.3f} | {power[year]} |")
''',
}
COMMANDS = {
    MONTHLY: "python3 monthly.py",
    YEARLY: f"python3 yearly.py {ELECTRICITY} > {YEARLY}",
    REPORT: f"python3 report.py > {REPORT}",
}


@pytest.fixture(scope="module")
def shop(ada: Hand, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Oak's repository with both files, brought in from a folder, and the scripts beside them; each was run once."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(data, source / "data")
    for name, text in SCRIPTS.items():
        (source / name).write_text(text)
    shop = ada.workshop("weather-and-power", source)
    for command in COMMANDS.values():
        done = shop.run(command)
        assert (done["status"], done["exit_code"]) == ("completed", 0), shop.output(done["id"])
    return shop


def test_the_report_says_what_the_data_says(shop: Workshop):
    weather = list(csv.DictReader(io.StringIO(shop.read(WEATHER).decode())))
    power = list(csv.DictReader(io.StringIO(shop.read(ELECTRICITY).decode())))
    lines = shop.read(REPORT).decode().splitlines()[4:]
    assert [line.split(" | ")[0] for line in lines] == ["| 2012", "| 2013", "| 2014", "| 2015"]
    total = sum(int(row["net_generation"]) for row in power if row["year"].startswith("2012"))
    assert lines[0].endswith(f" | {total} |")
    january = [float(row["temp_max"]) for row in weather if row["date"].startswith("2012/01")]
    assert f"2012-01,{sum(january) / len(january):.2f}," in shop.read(MONTHLY).decode()


def test_nobody_declared_inputs_and_arbe_saw_them_all(shop: Workshop):
    read = {
        MONTHLY: {"monthly.py", WEATHER},
        YEARLY: {"yearly.py", ELECTRICITY},
        REPORT: {"report.py", MONTHLY, YEARLY},
    }
    for path, inputs in read.items():
        why = shop.why(path)
        assert {(one["path"], one["how"]) for one in why["inputs"]} == {(name, "observed") for name in inputs}
        assert why["state"] == "fresh" and why["derivation"]["known_complete"]
    assert shop.stale() == {}
    assert shop.plan(REPORT) == {"target": REPORT, "steps": [], "fresh": 1, "seconds": 0, "tokens": 0, "usd": None}


def test_a_changed_value_makes_two_of_three_stale_and_why_names_what_happened(shop: Workshop, bo: Hand):
    before = shop.read(WEATHER)
    after = before.replace(b"2012/01/01,0.0,12.8,", b"2012/01/01,0.0,25.6,", 1)
    assert after != before
    commit = shop.held_by(bo).write(WEATHER, after)["commit"]

    assert shop.stale() == {MONTHLY: "stale", REPORT: "stale"}
    for target in (MONTHLY, REPORT):
        [cause] = shop.why(target)["causes"]
        assert cause["target"] == MONTHLY
        assert (cause["reason"]["path"], cause["reason"]["kind"]) == (WEATHER, "input_changed")
        assert (cause["reason"]["old"], cause["reason"]["new"]) == (blob_id(before), blob_id(after))
        assert (cause["author"], cause["commit"]) == ("Bo", commit)
    plan = shop.plan(REPORT)
    assert [step["outputs"] for step in plan["steps"]] == [[MONTHLY], [REPORT]]
    assert WEATHER in plan["steps"][0]["reasons"][0] and blob_id(before)[:7] in plan["steps"][0]["reasons"][0]

    made = shop.make(REPORT)
    assert made["status"] == "completed", made["reason"]
    assert sorted(command["targets"] for command in made["commands"]) == [[REPORT], [MONTHLY]]
    assert told(shop, made) == {"ran": 2, "spared": 0}
    assert "2012-01,7.47," in shop.read(MONTHLY).decode()
    assert shop.stale() == {}


def test_a_changed_comment_runs_one_step_and_spares_the_rest(shop: Workshop):
    report, monthly = shop.why(REPORT)["derivation"]["id"], shop.read(MONTHLY)
    shop.write("monthly.py", shop.read("monthly.py") + b"# A comment changes nothing that is printed.\n")
    assert shop.stale() == {MONTHLY: "stale", REPORT: "stale"}
    assert len(shop.plan(REPORT)["steps"]) == 2, "before the first step has run nobody knows that it changes nothing"

    made = shop.make(REPORT)
    assert made["status"] == "completed", made["reason"]
    assert [command["targets"] for command in made["commands"]] == [[MONTHLY]]
    assert told(shop, made) == {"ran": 1, "spared": 1}
    assert shop.read(MONTHLY) == monthly and shop.why(REPORT)["derivation"]["id"] == report
    assert shop.stale() == {}


def test_a_report_edited_by_hand_is_not_overwritten(shop: Workshop):
    made, mine = shop.read(REPORT), shop.read(REPORT) + b"\nChecked by hand.\n"
    shop.write(REPORT, mine)
    shop.write(WEATHER, shop.read(WEATHER).replace(b"25.6", b"12.8", 1))
    assert shop.stale()[REPORT] == "edited"
    events, head = len(shop.events()), shop.head()

    refusal = shop.hand.ask("POST", f"threads/{shop.thread}/makes/", json={"target": REPORT})
    assert (refusal.status_code, refusal.json()["code"]) == (409, "edited_by_hand")
    said = refusal.json()["detail"]
    assert f"`{REPORT}` was edited by hand" in said and "save it under another name" in said
    assert COMMANDS[REPORT] in said and blob_id(made)[:7] in said
    assert (shop.read(REPORT), shop.head(), len(shop.events())) == (mine, head, events)


def blob_id(content: bytes) -> str:
    """What git calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def told(shop: Workshop, made: dict) -> dict[str, int]:
    [finished] = [e["payload"] for e in shop.events("make_finished") if e["payload"]["make_id"] == made["id"]]
    return {name: finished[name] for name in ("ran", "spared")}
