"""What arbe counts, for operators: at an address of its own, and without a word that somebody wrote."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest

from arbe import metrics
from arbe.ports import free_port
from arbe.sweeps import Sweep
from houses import measures
from houses.tenancy import inside
from threads.models import Command

ROOT = Path(__file__).resolve().parent.parent.parent
COUNTING = """
import os, sys
from houses import measures
measures.COMMANDS.labels("completed").inc(int(sys.argv[1]))
measures.WATCHERS.inc(3)
if sys.argv[2:]:
    print("ready", flush=True); sys.stdin.read()
"""


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


def counting(folder, number, *stay):
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    words = [sys.executable, "-c", COUNTING, str(number), *stay]
    return subprocess.Popen(words, env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_where_is_a_host_and_a_port():
    assert metrics.address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert metrics.address(":9464") == ("127.0.0.1", 9464) and metrics.address("[::1]:1") == ("::1", 1)
    with pytest.raises(ValueError, match="host:port"):
        metrics.address("somewhere")


def test_processes_are_counted_together_and_who_has_gone_watches_nothing(tmp_path):
    first = counting(tmp_path, 2)
    first.communicate()
    with counting(tmp_path, 5, "stay") as second:
        assert second.stdout.readline() == "ready\n"
        told = {m.name: m.samples for m in metrics.Counted(tmp_path).collect()}
        assert [one.value for one in told["arbe_commands"]] == [7]
        assert [one.value for one in told["arbe_websocket_watchers"]] == [3]
        second.communicate("")
    told = {m.name: m.samples for m in metrics.Counted(tmp_path).collect()}
    assert [one.value for one in told["arbe_commands"]] == [7] and not told.get("arbe_websocket_watchers")


@pytest.fixture
def served(running, django_db_setup, tmp_path):
    """`manage.py metrics`, as `up` keeps it."""
    where = f"127.0.0.1:{free_port()}"
    (tmp_path / "metrics").mkdir()
    env = os.environ | {"ARBE_METRICS": where, "ARBE_VAR": str(tmp_path)}
    env |= {"ARBE_DATABASE_URL": running.urls.app, "ARBE_OPERATOR_DATABASE_URL": running.urls.operator}
    process = subprocess.Popen([sys.executable, "manage.py", "metrics"], env=env, cwd=ROOT)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            httpx.get(f"http://{where}/metrics")
            break
        except httpx.TransportError:
            assert process.poll() is None
            time.sleep(0.05)
    yield f"http://{where}/metrics"
    process.terminate()
    assert process.wait(10) == 0


def test_the_address_tells_what_was_counted_and_what_waits(committed, served, oak, ada, tmp_path):
    from sandboxes.models import Environment
    from threads.models import Thread

    with inside(oak, ada):
        environment = Environment.objects.create_in(oak, "plain", by=ada, config={}, secret_bindings=[])
        thread = Thread.objects.open_in(oak, by=ada, name="a name of ours")
        Command.objects.create(house=oak, thread=thread, agent=ada, environment=environment, text="echo secret words")
    counting(tmp_path / "metrics", 4).communicate()
    said = httpx.get(served).text
    lines = dict(line.rsplit(" ", 1) for line in said.splitlines() if not line.startswith("#"))
    assert lines['arbe_commands_total{status="completed"}'] == "4.0"
    assert (lines["arbe_queued"], lines["arbe_running"], lines["arbe_database_answers"]) == ("1.0", "0.0", "1.0")
    assert float(lines["arbe_outbox"]) >= 1 and float(lines["arbe_queued_oldest_seconds"]) >= 0
    assert not [word for word in (oak.pk, "a name of ours", "secret words", str(ada.pk)) if word in said]


def test_nothing_of_it_is_on_the_public_address(client, db, ada, client_of):
    assert client.get("/metrics").status_code == 404 and client_of(ada).get("/metrics").status_code == 404
    assert client_of(ada).get("/metrics/").status_code == 404


def test_without_an_address_nobody_serves():
    env = {name: value for name, value in os.environ.items() if name != "ARBE_METRICS"} | {"ARBE_VAR": "/nowhere"}
    ended = subprocess.run(
        [sys.executable, "manage.py", "metrics"], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1 and "ARBE_METRICS=127.0.0.1" in ended.stderr


def test_requests_are_counted_by_the_name_of_their_address_alone(oak, ada, client_of):
    client = client_of(ada)
    before = value("arbe_requests_total", route="members", method="GET", status="200")
    client.get(f"/houses/{oak.pk}/settings/members/")
    client.get(f"/api/houses/{oak.pk}/members/")
    client.generic("MADEUP", "/there-is-no-such-place/")
    assert value("arbe_requests_total", route="members", method="GET", status="200") == before + 1
    said = generate_latest().decode()
    assert 'route="api/houses/<slug:house>/members/"' in said
    assert 'method="other",route="unknown"' in said
    assert oak.pk not in said and "MADEUP" not in said and "no-such" not in said


def test_refusals_are_counted_by_their_code(oak, cy, client_of):
    before = value("arbe_refusals_total", code="not_found")
    client_of(cy).get(f"/houses/{oak.pk}/settings/members/")
    client_of(cy).get(f"/api/houses/{oak.pk}/members/")
    assert value("arbe_refusals_total", code="not_found") == before + 2


def test_who_does_not_come_in_is_counted(db, client):
    from django.contrib.auth import authenticate

    client.get("/healthz")  # the middleware listens from the first request on
    before = value("arbe_sign_in_failures_total")
    assert authenticate(username="ada@oak.example", password="wrong") is None
    assert value("arbe_sign_in_failures_total") == before + 1


def test_a_sweep_that_fails_is_counted():
    before = value("arbe_sweep_failures_total", sweep="arbe.metrics.address")
    sweep = Sweep("arbe.metrics.address", 1)
    sweep.call_if_due()
    assert value("arbe_sweep_failures_total", sweep="arbe.metrics.address") == before + 1


def test_appends_are_counted_with_what_they_took(committed, stream_server, streams_at, oak, ada):
    from streams.signals import FailureWitnessed, witness

    streams_at(stream_server.url)
    before = value("arbe_stream_appends_total"), value("arbe_stream_append_seconds_count")
    witness(oak.pk, FailureWitnessed(part="sandbox", command_id="c", thread_id="t", again=False), by=ada)
    assert (value("arbe_stream_appends_total"), value("arbe_stream_append_seconds_count")) == tuple(
        one + 1 for one in before
    )


def test_every_label_is_one_of_ours():
    """A label with a name in it would tell operators' tools what houses are called."""
    labels = {
        label
        for name in vars(measures)
        if name.isupper()
        for label in getattr(getattr(measures, name), "_labelnames", ())
    }
    assert labels <= {"route", "method", "status", "code", "outcome", "sweep"}
    assert re.fullmatch(r"[a-z_.]+", Sweep("arbe.metrics.address", 1).path)
